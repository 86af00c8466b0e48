"""How far `ContextUnet` sees; apart from it, because specs are read without torch."""

REACH = 5
"""Slices to either side: 11 in all."""
