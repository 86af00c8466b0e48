"""Domain terms and rules. No input or output happens here."""
