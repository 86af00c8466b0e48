"""The patient's age against the intended use (PS3.3 C.7.2.2, PS3.5 6.2 AS)."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date

from pydicom import Dataset

from service.errors import Reason, Refusal
from service.imaging.attributes import Unreadable, texts
from service.imaging.dates import date_of

_PER_YEAR = {"Y": 1.0, "M": 12.0, "W": 52.18, "D": 365.25}
_AGE = re.compile(r"(\d{1,3}(?:[.,]\d+)?)\s*([YMWD]?)(?:EARS?|ONTHS?|EEKS?|AYS?)?", re.IGNORECASE)
_PARTIAL_DATE = re.compile(r"(\d{4})[.\-/]?(\d{2})?")
_SEEN = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "AcquisitionDateTime")
_OLDEST_YEARS = 130.0
_PLACEHOLDER = re.compile(r"0+\s*[YMWD]?", re.IGNORECASE)


def age(images: Sequence[Dataset], min_age_years: float) -> Iterator[Refusal]:
    """AGE if the patient is too young by any of what the images tell, which may contradict itself."""
    told = _ages(images, min_age_years)
    if told and min(told) < min_age_years:
        years = f"{int(min(told))} years"
        if max(told) >= min_age_years:
            years = f"{years} by one attribute, {int(max(told))} by another"
        yield Refusal(Reason.AGE, f"{years}; at least {min_age_years:.0f} are required.")


def age_is_known(images: Iterable[Dataset]) -> bool:
    return bool(_ages(images, 0.0))


def youngest_age(images: Iterable[Dataset]) -> float | None:
    """The least age in years that the images tell; None where they tell none."""
    return min(_ages(images, 0.0), default=None)


def _ages(images: Iterable[Dataset], min_age_years: float) -> set[float]:
    """Every age in years that Patient's Age, or Patient's Birth Date with a date of the images, gives.

    A placeholder for the age says nothing where a birth date tells an adult.
    """
    stated = {value for image in images for value in texts(image, "PatientAge")}
    dates = {(born, seen) for image in images for born in texts(image, "PatientBirthDate") for seen in _seen(image)}
    counted = _possible(_years_between(*pair) for pair in dates)
    if counted and min(counted) >= min_age_years:
        stated = {value for value in stated if not is_placeholder(value)}
    return counted | _possible(_told_years(value, min_age_years) for value in stated)


def _possible(ages: Iterable[float | None]) -> set[float]:
    return {years for years in ages if years is not None and 0.0 <= years <= _OLDEST_YEARS}


def is_placeholder(age: str) -> bool:
    """Whether it is 000Y: infants have an age in days, weeks or months."""
    return _PLACEHOLDER.fullmatch(age) is not None


def stated_years(age: str) -> float | None:
    """Patient's Age, also with fewer digits than AS has, spaces, or in small letters; None without a unit."""
    written = _AGE.fullmatch(age)
    return _number(written) / _PER_YEAR[written[2].upper()] if written and written[2] else None


def _told_years(age: str, min_age_years: float) -> float | None:
    """A number without a unit may be of years or months: it tells a child, but never an adult."""
    written = _AGE.fullmatch(age)
    if not written or written[2]:
        return stated_years(age)
    return years if (years := _number(written)) < min_age_years else None


def _number(written: re.Match[str]) -> float:
    return float(written[1].replace(",", "."))


def _seen(image: Dataset) -> tuple[str, ...]:
    """The first date that the image has; each, where it has several values."""
    return next((found for keyword in _SEEN if (found := _legible_dates(image, keyword))), ())


def _legible_dates(image: Dataset, keyword: str) -> tuple[str, ...]:
    try:
        written = texts(image, keyword)
    except Unreadable:
        return ()
    days = (value[:8] if keyword.endswith("DateTime") else value for value in written)
    return tuple(day for day in days if date_of(day))


def _years_between(born: str, seen: str) -> float | None:
    """Counts the latest day of a birth date that is only a year or a month: nobody is taken for too old."""
    birth, day = _birth_date(born), date_of(seen)
    return (day - birth).days / _PER_YEAR["D"] if birth and day else None


def _birth_date(written: str) -> date | None:
    partial = _PARTIAL_DATE.fullmatch(written)
    return date_of(written) or (date_of(f"{partial[1]}{partial[2] or 12}28") if partial else None)
