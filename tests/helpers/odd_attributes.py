"""Every attribute that the gate, the choice or the evidence reads, and the ways in which senders spoil one.

Values are put into the bytes of a file, so that what is read is what pydicom makes of it.
"""

import unicodedata
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from io import BytesIO

from highdicom._standard_utils import get_iod_module_map, get_module_attribute_map, get_sop_class_iod_map
from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import CTImageStorage

from helpers import enhanced_ct, make_ct
from service.evidence import source
from service.imaging import attributes, frames

_SHOWN = (
    *("InstanceNumber", "SeriesNumber", "SeriesDescription", "StudyDescription", "InstitutionName", "Modality"),
    *("Manufacturer", "ManufacturerModelName", "StationName", "BodyPartExamined", "TimezoneOffsetFromUTC"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "SpacingBetweenSlices", "SliceLocation", "Rows", "Columns"),
    *("AcquisitionNumber", "TemporalPositionIdentifier", "FrameOfReferenceUID"),
    *("AcquisitionDateTime", "ProtocolName", "DeviceSerialNumber"),
)
"""Read by the report, routing rules, metrics, reading and phases."""

_CHARSET = "SpecificCharacterSet"
_DATES = tuple(f"{name}{what}" for name in ("Acquisition", "Content", "Series", "Study") for what in ("Date", "Time"))
_NUMBERS = ("DS", "IS", "US", "SS", "UL", "SL", "FD", "FL")


def _copied() -> Iterator[str]:
    """What highdicom copies of a CT image's patient and study."""
    modules = get_iod_module_map()[get_sop_class_iod_map()[CTImageStorage]]
    for module in modules:
        if module["ie"] in ("Patient", "Study"):
            yield from (a["keyword"] for a in get_module_attribute_map()[module["key"]] if not a["path"])


KEYWORDS = tuple(
    sorted(
        {
            *frames._REQUIRED,
            *frames._LEGIBLE,
            *frames._ITEMS,
            *frames._PIXEL_FORMAT,
            *frames._PHASE,
            *attributes._MACRO,
            *source._REQUIRED,
            *source._REFERENCE,
            *source._OPTIONAL,
            *_SHOWN,
            *_DATES,
            *_copied(),
        }
    )
)


MACRO_KEYWORDS = tuple(sorted({*attributes._MACRO, *attributes._MACRO.values()}))
"""What is read of the functional groups of a multi-frame CT, and the macros it stands in."""


def _some(vr: str) -> bytes:
    """A value that the representation allows."""
    return {
        "DA": b"20240501",
        "TM": b"101500",
        "DT": b"20240501101500",
        "UI": b"1.2.3\0",
        "AS": b"060Y",
        "DS": b"1.5 ",
        "IS": b"12",
        "FD": bytes(8),
        "FL": bytes(4),
        "UL": bytes(4),
        "SL": bytes(4),
    }.get(vr, b"AB")


def _two(vr: str) -> tuple[str, bytes]:
    several = vr if vr not in ("SQ", "ST", "LT", "UT") else "LO"
    joint = b"" if vr in _NUMBERS[2:] else b"\\"
    value = joint.join((_some(vr), _some(vr)))
    return several, value + b" " * (len(value) % 2)


SPOILT: dict[str, Callable[[str], tuple[str, bytes]]] = {
    "empty": lambda vr: (vr, b""),
    "two values": _two,
    "bytes": lambda vr: ("OB", b"\x01\x02\x03\x04"),
    "of another text": lambda vr: ("LT", b"12.5"),
    "a number": lambda vr: ("US", b"\x10\x00"),
    "a sequence": lambda vr: ("SQ", b""),
    "of wrong length": lambda vr: ("FD", b"0.15"),
    "NULs": lambda vr: (vr, b"A\0B\x07C\0"),
    "long": lambda vr: (vr, b"7" * 10_000),
    "1e400": lambda vr: (vr, b"1e400 "),
    "escapes": lambda vr: (vr, b"\x1b$)A\xd5\xc5^\x1b(Z\x1b"),
    "garbage": lambda vr: (vr, b"\xff\xfe\x80\x00\xe0\x01zz"),
}
"""Representation and bytes, of an attribute that should have the representation given."""


def tiny() -> list[Dataset]:
    """Two slices, which the limits of the tests allow; read from bytes."""
    return [dcmread(BytesIO(file)) for file in _tiny_files()]


def tiny_enhanced() -> Dataset:
    """The same as one multi-frame CT."""
    return dcmread(BytesIO(_tiny_enhanced_file()))


@cache
def _tiny_files() -> tuple[bytes, ...]:
    return tuple(map(_new_file, _slices()))


@cache
def _tiny_enhanced_file() -> bytes:
    return _new_file(enhanced_ct.enhance(_slices()))


def _slices() -> list[Dataset]:
    return make_ct.make(slices=2, spacing_mm=2.5, rows=24, columns=32, pixel_mm=(12.0, 12.0)).datasets


def _new_file(dataset: Dataset) -> bytes:
    dataset.preamble = bytes(128)
    return written(dataset)


def spoilt_macro(enhanced: Dataset, keyword: str, way: str | None) -> list[Dataset]:
    """The multi-frame CT as read with one attribute of its functional groups spoilt wherever it stands."""
    groups = [*enhanced.SharedFunctionalGroupsSequence, *enhanced.PerFrameFunctionalGroupsSequence]
    for place in [*groups, *(item for group in groups for macro in group for item in macro.value)]:
        if keyword in place:
            _spoil(place, keyword, way)
    return [dcmread(BytesIO(written(enhanced)))]


def spoilt(datasets: Sequence[Dataset], keywords: Sequence[str], way: str | None) -> list[Dataset]:
    """The datasets as read with the attributes spoilt; way None: without them."""
    for dataset in datasets:
        for keyword in sorted(set(keywords) - {_CHARSET}):
            _spoil(dataset, keyword, way)
    files = map(written, datasets)
    return [dcmread(BytesIO(_other_charset(file, way) if _CHARSET in keywords else file)) for file in files]


def _spoil(place: Dataset, keyword: str, way: str | None) -> None:
    tag = Tag(tag_for_keyword(keyword))
    place._dict.pop(tag, None)
    if way is not None:
        vr, value = SPOILT[way](dictionary_VR(tag).split()[0])
        place._dict[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)


def _other_charset(file: bytes, way: str | None) -> bytes:
    """The file with another Specific Character Set, by which pydicom would write all text anew."""
    vr, value = ("CS", b"") if way is None else SPOILT[way]("CS")
    long = bytes(2) + len(value).to_bytes(4, "little") if vr in ("OB", "SQ") else len(value).to_bytes(2, "little")
    tag = b"\x08\x00\x05\x00"
    return file.replace(tag + b"CS\x0a\x00ISO_IR 100", b"" if way is None else tag + vr.encode() + long + value, 1)


def written(dataset: Dataset) -> bytes:
    with BytesIO() as buffer:
        dataset.save_as(buffer, enforce_file_format=False)
        return buffer.getvalue()


def unclean(dataset: Dataset) -> list[str]:
    """Attributes whose text holds a control character or an escape sequence, at any depth."""
    return [
        keyword_for_tag(element.tag) or str(element.tag)
        for element in dataset.iterall()
        if element.VR not in ("SQ", "OB", "OW", "UN", "UT", "LT", "ST", "AT")
        and any(unicodedata.category(character) in ("Cc", "Cs") for character in str(element.value))
    ]
