"""Times in evidence: objects carry that of the analysis, and say when the CT was acquired (decision 0120)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time, timedelta, timezone

from pydicom import Dataset

from service.imaging.attributes import known_text
from service.imaging.dates import date_of, moment_of, time_of


def written(moment: datetime, header: Dataset) -> datetime:
    """An aware moment as local time without its zone, see `zoned`."""
    return zoned(moment, header).replace(tzinfo=None)


def zoned(moment: datetime, header: Dataset) -> datetime:
    """An aware moment in the CT's zone if the CT tells it, else in the moment's own.

    One object has one Timezone Offset From UTC (PS3.3 C.12.1.1.8): the times that are copied from the CT decide it.
    """
    zone = zone_of(header)
    return moment.astimezone(zone) if zone else moment


def with_fixed_zone(moment: datetime) -> datetime:
    """The same moment with its offset alone: names of zones differ between machines."""
    return moment.astimezone(timezone(moment.utcoffset() or timedelta()))


def zone_of(header: Dataset) -> timezone | None:
    """The CT's zone by its Timezone Offset From UTC; None where that is absent or malformed."""
    match = re.fullmatch(r"([+-])(\d{2})([0-5]\d)", str(header.get("TimezoneOffsetFromUTC", "") or "").strip())
    if match is None or int(match[2]) > 14:
        return None
    minutes = 60 * int(match[2]) + int(match[3])
    return timezone(timedelta(minutes=-minutes if match[1] == "-" else minutes))


def acquisition_time(headers: Iterable[Dataset]) -> datetime | None:
    """The latest acquisition the headers tell of, as local time of the scanner; None where they tell of none."""
    return max((moment for header in headers for moment in _acquisitions(header)), default=None)


def acquisition_or_study_time(headers: Sequence[Dataset]) -> datetime | None:
    """The acquisition, or the start of the study where the headers tell of none: days before and after it are the same.

    None where they tell of neither. A study without a time starts at midnight.
    """
    return acquisition_time(headers) or max(filter(None, map(_study_start, headers)), default=None)


def _study_start(header: Dataset) -> datetime | None:
    date = date_of(known_text(header, "StudyDate"))
    return datetime.combine(date, time_of(known_text(header, "StudyTime")) or time.min) if date else None


def _acquisitions(header: Dataset) -> Iterator[datetime]:
    if moment := moment_of(known_text(header, "AcquisitionDateTime")):
        yield moment.replace(tzinfo=None)
    date, clock = date_of(known_text(header, "AcquisitionDate")), time_of(known_text(header, "AcquisitionTime"))
    if date and clock is not None:
        yield datetime.combine(date, clock)
