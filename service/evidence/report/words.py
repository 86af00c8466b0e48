"""Numbers, names and dates as the report prints them."""

from datetime import date
from math import floor

from pydicom import Dataset
from pydicom.valuerep import DA, PersonName

from service.imaging import attributes

ABSENT = "not recorded"


def millilitres(value_ml: float) -> str:
    """Whole millilitres; below 10 mL one decimal, and anything above zero is visible."""
    if value_ml >= 10:
        return f"{value_ml:.0f}"
    return "<0.1" if 0 < value_ml < 0.1 else f"{value_ml:.1f}" if value_ml else "0"


def percent(value: float) -> str:
    """Truncated to one decimal, never rounded: 4.99 % (score 1) must not read as 5.0 % (score 2)."""
    truncated = floor(value * 10 + 1e-9) / 10
    return "<0.1" if value > 0 and truncated == 0 else f"{truncated:.1f}" if value else "0"


def person_name(header: Dataset, keyword: str = "PatientName") -> str:
    """Family name first; the ideographic or else the phonetic group follows in brackets (PS3.5 6.2.1.2)."""
    name = PersonName(str(header.get(keyword, "") or ""))
    alphabetic, ideographic, phonetic = (_group(g) for g in (name.alphabetic, name.ideographic, name.phonetic))
    other = ideographic or phonetic
    if alphabetic and other:
        return f"{alphabetic} ({other.replace(',', '')})"
    return alphabetic or other.replace(",", "") or ABSENT


def _group(group: str) -> str:
    """Family^Given^Middle^Prefix^Suffix as "Family, Prefix Given Middle Suffix"."""
    family, given, middle, prefix, suffix = (part.strip() for part in (group.split("^") + [""] * 5)[:5])
    rest = " ".join(part for part in (prefix, given, middle, suffix) if part)
    return ", ".join(part for part in (family, rest) if part)


def day(value: object) -> str:
    """A DICOM date as YYYY-MM-DD."""
    parsed: date | None = DA(str(value)) if value else None
    return parsed.isoformat() if parsed else ABSENT


def person(header: Dataset) -> str:
    """Birth date, sex and age, as far as recorded."""
    sex = {"M": "male", "F": "female", "O": "other"}.get(str(header.get("PatientSex", "")), "")
    age = str(header.get("PatientAge", "") or "")
    years = f"{int(age[:3])} {_AGE_UNITS[age[3]]}" if age else ""
    born = day(header.PatientBirthDate) if header.get("PatientBirthDate") else ""
    return " · ".join(part for part in (born, sex, years) if part) or ABSENT


_AGE_UNITS = {"Y": "years", "M": "months", "W": "weeks", "D": "days"}


def text(header: Dataset, keyword: str) -> str:
    """An attribute's text on one line."""
    return " ".join(attributes.text(header, keyword).split()) or ABSENT
