"""What a caller may do. C-ECHO everybody may who is let in."""

from enum import Enum


class Right(Enum):
    """STORE: send images. REPORT: report that it keeps our results (storage commitment)."""

    STORE = "store"
    REPORT = "report"


EVERYTHING = frozenset(Right)
