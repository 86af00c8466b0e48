"""Values as PS3.5 6.2 and Table 6.2-1 allow them: cut to length, without control characters, or none at all.

Results are written anew, so that what a sender spelled wrongly does not make them invalid too. An identifier keeps its
first 64 characters, as the archives that received the CT keep it.
"""

import re
from collections.abc import Callable
from math import isfinite
from typing import Any

from pydicom import DataElement
from pydicom.datadict import dictionary_has_tag, dictionary_VM
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, DT, TM, format_number_as_ds

from service.imaging.attributes import is_unique_identifier
from service.imaging.charset import printable
from service.imaging.dates import date_of, moment_of, time_of

_LENGTHS = {"SH": 16, "LO": 64, "ST": 1024, "LT": 10240, "AE": 16, "UC": 1024, "UT": 10240, "UR": 1024}
"""Most characters; a result takes no more of an unlimited text than of a long one."""

_PARAGRAPHS = ("ST", "LT", "UT")
_GROUPS, _GROUP_LENGTH = 3, 64
_CODE = re.compile(r"[A-Z0-9 _]{1,16}")
_AGE = re.compile(r"0*(\d{1,3})\s*([DWMY])", re.IGNORECASE)
_INTEGERS = range(-(2**31), 2**31)


def legal_value(element: DataElement) -> Any:
    """The element's value, list of values, or "" where there is no legal one."""
    several = isinstance(element.value, (list, MultiValue))
    convert = _CONVERT.get(element.VR, lambda value: value)
    if not several:
        return "" if element.value is None else convert(element.value)
    if not _fits(element, len(element.value)):
        return ""
    values = [convert(value) for value in element.value]
    return "" if "" in values and element.VR in ("DS", "IS", "UI") else values


def _fits(element: DataElement, count: int) -> bool:
    """Whether the attribute may have so many values; which of several is meant where one may stand, nobody knows."""
    multiplicity = dictionary_VM(element.tag) if dictionary_has_tag(element.tag) else "1-n"
    return count in (0, 1) or "-" in multiplicity or multiplicity == str(count)


def _text(length: int, lines: bool) -> Callable[[Any], str]:
    return lambda value: printable(str(value), lines)[: 4 * length].strip(" ")[:length].rstrip(" ")


def _name(value: Any) -> str:
    """At most 64 characters in each of the three component groups (PS3.5 6.2.1)."""
    groups = printable(str(value)).split("=")[:_GROUPS]
    return "=".join(group.strip()[:_GROUP_LENGTH].rstrip(" ^") for group in groups).rstrip("=")


def _code(value: Any) -> str:
    text = str(value).strip(" \0").upper()
    return text if _CODE.fullmatch(text) else ""


def _date(value: Any) -> str:
    found = date_of(str(value))
    return str(DA(found)) if found else ""


def _time(value: Any) -> str:
    found = time_of(str(value))
    return str(TM(found)) if found is not None else ""


def _moment(value: Any) -> str:
    return str(DT(str(value).strip())) if moment_of(str(value)) else ""


def _age(value: Any) -> str:
    written = _AGE.fullmatch(str(value).strip())
    return f"{int(written[1]):03d}{written[2].upper()}" if written else ""


def _integer(value: Any) -> Any:
    return value if _finite(value) and int(value) in _INTEGERS else ""


def _decimal(value: Any) -> Any:
    if not _finite(value):
        return ""
    return value if len(str(value)) <= 16 else format_number_as_ds(float(value))


def _finite(value: Any) -> bool:
    try:
        return isfinite(float(value))
    except (ValueError, TypeError, OverflowError):
        return False


def _identifier(value: Any) -> Any:
    return value if is_unique_identifier(value) else ""


_CONVERT: dict[str, Callable[[Any], Any]] = {
    **{vr: _text(length, vr in _PARAGRAPHS) for vr, length in _LENGTHS.items()},
    "PN": _name,
    "CS": _code,
    "DA": _date,
    "TM": _time,
    "DT": _moment,
    "AS": _age,
    "IS": _integer,
    "DS": _decimal,
    "UI": _identifier,
}
"""Value representations without a conversion are copied as they are."""
