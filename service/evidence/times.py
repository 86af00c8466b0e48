"""The time that evidence carries: that of the CT, never that of the clock (decision 0020)."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, time
from typing import TypeVar

from pydicom import Dataset
from pydicom.valuerep import DA, DT, TM

from service.domain.ct import CT

T = TypeVar("T")

_MOMENTS = ("Acquisition", "Content", "Series", "Study", "InstanceCreation")
UNDATED = datetime(1900, 1, 1)
"""Stands in Content Date (type 1 in a SEG) of evidence for a CT without any date."""


def evidence_time(ct: CT) -> datetime:
    """The latest moment the CT's headers tell of, as local time of the scanner; `UNDATED` if there is none."""
    return latest_time(ct.headers)


def latest_time(headers: Iterable[Dataset]) -> datetime:
    """The same of headers that made no CT, cleaned."""
    return max((moment for header in headers for moment in _moments(header)), default=UNDATED)


def acquisition_time(headers: Iterable[Dataset]) -> datetime | None:
    """The latest acquisition the headers tell of, as local time of the scanner; None where they tell of none."""
    return max((moment for header in headers for moment in _acquisitions(header)), default=None)


def _acquisitions(header: Dataset) -> Iterator[datetime]:
    if moment := _parsed(DT, header.get("AcquisitionDateTime")):
        yield moment.replace(tzinfo=None)
    date, clock = _parsed(DA, header.get("AcquisitionDate")), _parsed(TM, header.get("AcquisitionTime"))
    if date and clock is not None:
        yield datetime.combine(date, clock)


def _moments(header: Dataset) -> Iterator[datetime]:
    if moment := _parsed(DT, header.get("AcquisitionDateTime")):
        yield moment.replace(tzinfo=None)
    for name in _MOMENTS:
        if date := _parsed(DA, header.get(f"{name}Date")):
            yield datetime.combine(date, _parsed(TM, header.get(f"{name}Time")) or time())


def _parsed(kind: Callable[[str], T | None], value: object) -> T | None:
    """A date or time object, or None for an absent or malformed value."""
    try:
        return kind(str(value)) if value else None
    except ValueError:
        return None
