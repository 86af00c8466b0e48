"""Which kind of scanner made a CT, as a label of metrics: manufacturer and model, never a station or a patient."""

import re

UNKNOWN = "unknown"

_LONGEST = 40
_FOREIGN = re.compile(r"[^A-Z0-9./+-]+")


def scanner(manufacturer: str, model: str) -> str:
    """Manufacturer (0008,0070) and Manufacturer's Model Name (0008,1090): upper case, ASCII, 40 characters at most."""
    both = _FOREIGN.sub(" ", f"{manufacturer} {model}".upper())
    return both.strip()[:_LONGEST].strip() or UNKNOWN
