"""`covid-burden`: lungs, five lobes, opacities by a network that sees the slices around, and the pneumonia burden."""
