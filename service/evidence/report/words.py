"""Names and dates as the report prints them."""

from datetime import date

from pydicom import Dataset
from pydicom.valuerep import DA, PersonName

from service.imaging import attributes

ABSENT = "not recorded"


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
