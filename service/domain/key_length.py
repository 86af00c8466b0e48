"""Length of a key of encrypted files, and of the master key that wraps them."""

KEY_BYTES = 32
"""AES-256."""
