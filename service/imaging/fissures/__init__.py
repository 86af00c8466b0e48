"""Pulmonary fissures: where the images show them, and lobe borders that follow them."""
