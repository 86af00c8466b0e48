"""Words and rules of the trade. No input or output happens here."""
