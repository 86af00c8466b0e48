"""Attributes of an image, where they stand and checked: a malformed one is named, never a crash.

In a multi-frame CT they stand in functional groups (PS3.3 C.7.6.16), those of the frame before the shared ones.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from math import isfinite
from typing import Any, Final

from pydicom import DataElement, Dataset, config
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence as Items
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from service.domain.unparsable import UNPARSABLE
from service.imaging.charset import ESCAPE, actual_encodings, decoded, is_plain, printable

MULTI_FRAME_CT = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
CT_CLASSES = (CTImageStorage, *MULTI_FRAME_CT)

MALFORMED: Final = (*UNPARSABLE, OSError)
"""What pydicom raises when an element's bytes do not make a value, or a sequence is nested too deep for it."""

UID_LENGTH = 64
"""Most characters of a UID (PS3.5 9.1)."""

_TEXT_DELIMITERS = {"PN": b"^=", "LO": b"", "SH": b"", "UC": b"", "ST": b"", "LT": b"", "UT": b""}
"""Value representations that Specific Character Set applies to (PS3.5 6.1.2.2)."""

_SOP_CLASS = Tag("SOPClassUID")
_MOST_VALUES = 64
_BECOME_OBJECTS = ("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "PN", "SH", "TM", "UI")
"""Value representations of several values (PS3.5 6.2), each of which takes a hundred times the memory of its bytes."""

_LONGEST = 1024
_LONGEST_SEQUENCE = 4096
_PARAGRAPHS = ("ST", "LT", "UT")

# Functional Group Macro that holds the attribute in a multi-frame image.
_MACRO = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameType": "CTImageFrameTypeSequence",
    "VolumetricProperties": "CTImageFrameTypeSequence",
    "VolumeBasedCalculationTechnique": "CTImageFrameTypeSequence",
    "GantryDetectorTilt": "CTAcquisitionDetailsSequence",
    "RotationDirection": "CTAcquisitionDetailsSequence",
    "SingleCollimationWidth": "CTAcquisitionDetailsSequence",
    "TableHeight": "CTAcquisitionDetailsSequence",
    "DataCollectionDiameter": "CTAcquisitionDetailsSequence",
    "SpiralPitchFactor": "CTTableDynamicsSequence",
    "FocalSpots": "CTXRayDetailsSequence",
    "IrradiationEventUID": "IrradiationEventIdentificationSequence",
    "NominalPercentageOfCardiacPhase": "CardiacSynchronizationSequence",
    "KVP": "CTXRayDetailsSequence",
    "CTDIvol": "CTExposureSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
    "ReconstructionAlgorithm": "CTReconstructionSequence",
    "ReconstructionDiameter": "CTReconstructionSequence",
    "ReconstructionTargetCenterPatient": "CTPositionSequence",
    "FilterType": "CTXRayDetailsSequence",
    "AcquisitionType": "CTAcquisitionTypeSequence",
    "FrameAcquisitionDateTime": "FrameContentSequence",
    "ContrastBolusAgentAdministered": "ContrastBolusUsageSequence",
}

# Where a legacy converted CT keeps what its slices said and no macro has (PS3.3 C.7.6.16.2.25).
_CONVERTED = ("UnassignedPerFrameConvertedAttributesSequence", "UnassignedSharedConvertedAttributesSequence")


class Unreadable(ValueError):
    """A required attribute is missing or malformed; the message names it."""


def transfer_syntax(dataset: Dataset) -> UID | None:
    """How the pixels are encoded; None where the file does not say."""
    uid = getattr(getattr(dataset, "file_meta", None), "TransferSyntaxUID", None)
    return UID(uid) if isinstance(uid, str) and uid else None


def is_multi_frame(header: Dataset) -> bool:
    if _has_many_values(header.get_item(_SOP_CLASS)):
        return False
    return header.get("SOPClassUID") in MULTI_FRAME_CT


def element(header: Dataset, tag: BaseTag) -> DataElement:
    """The element with its text decoded (`charset`); one of MALFORMED where its bytes make no value."""
    raw = header.get_item(tag)
    if _has_many_values(raw):
        raise ValueError(f"more than {_MOST_VALUES} values")
    if isinstance(raw, RawDataElement) and isinstance(raw.value, bytes) and not is_plain(raw.value):
        vr = dictionary_VR(tag) if raw.VR in (None, "UN") else str(raw.VR)
        declared = _encodings(header)
        encodings = actual_encodings(raw.value, declared)
        if vr in _TEXT_DELIMITERS and (ESCAPE in raw.value or encodings != declared):
            text = _decoded(raw.value, vr, encodings)
            header[tag] = DataElement(tag, vr, text, validation_mode=config.IGNORE)
    return header[tag]


def _has_many_values(raw: Any) -> bool:
    """Whether an element that was not looked at yet has many more values than any that is read here."""
    if not isinstance(raw, RawDataElement) or not isinstance(raw.value, bytes):
        return False
    if raw.value.count(b"\\") < _MOST_VALUES:
        return False
    unknown = raw.VR in (None, "UN") and dictionary_has_tag(raw.tag)
    return (dictionary_VR(raw.tag) if unknown else raw.VR) in _BECOME_OBJECTS


def _decoded(value: bytes, vr: str, encodings: Sequence[str]) -> str | list[str]:
    text = decoded(value.rstrip(b"\0 "), encodings, _TEXT_DELIMITERS[vr])
    return text if vr in _PARAGRAPHS or "\\" not in text else text.split("\\")


def _encodings(header: Dataset) -> Sequence[str]:
    """Python's names of the header's character sets, those of the enclosing data set where an item has none."""
    names = header.original_character_set or header._character_set or convert_encodings(None)
    return [names] if isinstance(names, str) else list(names)


def find(header: Dataset, keyword: str, number: int = 1) -> Any:
    """Value of the attribute for a frame (1-based), None where absent or empty; Unreadable if malformed."""
    tag = Tag(tag_for_keyword(keyword) or keyword)
    try:
        for place in _places(header, keyword, number):
            value = element(place, tag).value if tag in place else None
            if value is not None and value != "" and value != []:
                return value
    except MALFORMED as exc:
        raise Unreadable(f"{keyword} is malformed") from exc
    return None


def numbers(header: Dataset, keyword: str, count: int, number: int = 1) -> tuple[float, ...]:
    """`count` finite numbers of a required attribute."""
    value = find(header, keyword, number)
    if value is None:
        raise Unreadable(f"{keyword} is missing")
    try:
        found = tuple(map(float, _several(value)))
    except MALFORMED as exc:
        raise Unreadable(f"{keyword} is malformed") from exc
    if len(found) != count or not all(map(isfinite, found)):
        raise Unreadable(f"{keyword} is malformed")
    return found


def written_units(header: Dataset, keyword: str, number: int = 1) -> tuple[float, ...]:
    """Unit of the last decimal of each number, as the sender wrote it: 0.1 of "-300.3"."""
    return tuple(_unit(written) for written in texts(header, keyword, number))


def _unit(written: str) -> float:
    exponent = Decimal(written).as_tuple().exponent
    return 10.0 ** min(max(exponent, -16), 16) if isinstance(exponent, int) else 0.0


def optional_number(header: Dataset, keyword: str, number: int = 1) -> float | None:
    """One finite number, None where absent or empty."""
    return None if find(header, keyword, number) is None else numbers(header, keyword, 1, number)[0]


def within(keyword: str, values: tuple[float, ...], bounds: tuple[float, float]) -> tuple[float, ...]:
    """The values; Unreadable if one lies outside of the bounds, both of which are allowed."""
    for value in values:
        if not bounds[0] <= value <= bounds[1]:
            raise Unreadable(f"{keyword} is {value:g}, not between {bounds[0]:g} and {bounds[1]:g}")
    return values


def items(header: Dataset, keyword: str) -> Sequence[Dataset]:
    """Items of a sequence, none where it is absent; Unreadable if it is no sequence, or longer than any that is read.

    A multi-frame image alone has long ones: its functional groups.
    """
    raw = header.get_item(Tag(keyword))
    if isinstance(raw, RawDataElement) and len(raw.value or b"") > _LONGEST_SEQUENCE and not is_multi_frame(header):
        raise Unreadable(f"{keyword} is malformed")
    value = find(header, keyword)
    if value is not None and not isinstance(value, Items):
        raise Unreadable(f"{keyword} is malformed")
    return value or ()


def text(header: Dataset, keyword: str, number: int = 1) -> str:
    """Text of the attribute, several values joined as in DICOM; "" where absent."""
    return "\\".join(texts(header, keyword, number))


def texts(header: Dataset, keyword: str, number: int = 1) -> tuple[str, ...]:
    """Each value of the attribute as text without control characters."""
    value = find(header, keyword, number)
    if value is None:
        return ()
    try:
        return tuple(printable(str(v)).strip() for v in _several(value))
    except MALFORMED as exc:
        raise Unreadable(f"{keyword} is malformed") from exc


def _several(value: Any) -> Sequence[Any]:
    """All values of an element; TypeError for one whose representation holds neither text nor numbers."""
    if isinstance(value, bytes) or (value and isinstance(value, Items)):
        raise TypeError("bytes or items where a value is expected")
    return value if isinstance(value, Sequence) and not isinstance(value, str) else [value]


def known_text(header: Dataset, keyword: str) -> str:
    """Text of an attribute that decides nothing: "" where it is absent or malformed, cut where nobody reads on."""
    try:
        return text(header, keyword)[:_LONGEST]
    except Unreadable:
        return ""


def is_unique_identifier(value: Any) -> bool:
    """Whether a UID is one that results can refer to: invalid ones as they came (decision 0021), damaged ones never."""
    return isinstance(value, str) and 0 < len(value) <= UID_LENGTH and value.isascii() and value.isprintable()


def _places(header: Dataset, keyword: str, number: int) -> Iterator[Dataset]:
    """Where the attribute of a frame may stand, most specific first."""
    if not is_multi_frame(header):
        yield header
        return
    macro = _MACRO.get(keyword)
    groups = _groups(header, number)
    if macro:
        for group in groups:
            yield from group.get(macro) or []
    if macro in (None, "CTImageFrameTypeSequence"):
        yield header  # says the same of all frames
    if header.SOPClassUID == LegacyConvertedEnhancedCTImageStorage:
        for group in groups:
            for converted in _CONVERTED:
                yield from group.get(converted) or []


def _groups(header: Dataset, number: int) -> list[Dataset]:
    """Functional groups of a frame, its own before the shared ones."""
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    return [*per_frame[number - 1 : number], *(header.get("SharedFunctionalGroupsSequence") or [])]
