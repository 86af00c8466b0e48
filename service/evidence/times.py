"""The time that evidence carries: that of the CT, never that of the clock (decision 0020)."""

from collections.abc import Iterable, Iterator
from datetime import datetime, time

from pydicom import Dataset

from service.domain.ct import CT
from service.imaging.attributes import known_text
from service.imaging.dates import date_of, moment_of, time_of

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
    if moment := moment_of(known_text(header, "AcquisitionDateTime")):
        yield moment.replace(tzinfo=None)
    date, clock = date_of(known_text(header, "AcquisitionDate")), time_of(known_text(header, "AcquisitionTime"))
    if date and clock is not None:
        yield datetime.combine(date, clock)


def _moments(header: Dataset) -> Iterator[datetime]:
    if moment := moment_of(known_text(header, "AcquisitionDateTime")):
        yield moment.replace(tzinfo=None)
    for name in _MOMENTS:
        if date := date_of(known_text(header, f"{name}Date")):
            yield datetime.combine(date, time_of(known_text(header, f"{name}Time")) or time())
