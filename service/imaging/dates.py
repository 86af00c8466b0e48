"""Dates and times as senders write them (PS3.5 6.2), also in the forms of ACR-NEMA that PS3.5 lets a reader accept."""

import re
from collections.abc import Callable
from datetime import date, datetime, time
from typing import TypeVar

from pydicom.valuerep import DA, DT, TM

T = TypeVar("T")

_DATE = re.compile(r"(\d{4})([.\-/]?)(\d{2})\2(\d{2})")
_TIME = re.compile(r"(\d{2}):(\d{2})(?::(\d{2}(?:\.\d{1,6})?))?")


def date_of(text: str) -> date | None:
    """YYYYMMDD, or with points, hyphens or slashes; None for anything else."""
    written = _DATE.fullmatch(text.strip())
    return _parsed(DA, "".join(written.group(1, 3, 4))) if written else None


def time_of(text: str) -> time | None:
    """HH, HHMM, HHMMSS or with a fraction, also with colons; None for anything else."""
    written = _TIME.fullmatch(text.strip())
    return _parsed(TM, "".join(part or "" for part in written.groups()) if written else text.strip())


def moment_of(text: str) -> datetime | None:
    """A date with a time, and with the offset from UTC where it is given; None for anything else."""
    return _parsed(DT, text.strip())


def _parsed(kind: Callable[[str], T | None], text: str) -> T | None:
    try:
        return kind(text) if text else None
    except (ValueError, TypeError, OverflowError):
        return None
