"""Attributes of an image, where they stand and checked: a malformed one is named, never a crash.

In a multi-frame CT they stand in functional groups (PS3.3 C.7.6.16), those of the frame before the shared ones.
"""

import struct
from collections.abc import Iterator, Sequence
from math import isfinite
from typing import Any

from pydicom import Dataset
from pydicom.errors import BytesLengthException
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

MULTI_FRAME_CT = (EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
CT_CLASSES = (CTImageStorage, *MULTI_FRAME_CT)

MALFORMED = (
    *(ValueError, TypeError, OverflowError, NotImplementedError, OSError, EOFError),
    *(struct.error, BytesLengthException),
)
"""What pydicom raises when an element's bytes do not make a value."""

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
    "GantryDetectorTilt": "CTAcquisitionDetailsSequence",
    "NominalPercentageOfCardiacPhase": "CardiacSynchronizationSequence",
    "KVP": "CTXRayDetailsSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
    "ReconstructionAlgorithm": "CTReconstructionSequence",
    "ReconstructionDiameter": "CTReconstructionSequence",
    "ReconstructionTargetCenterPatient": "CTPositionSequence",
    "FilterType": "CTXRayDetailsSequence",
    "AcquisitionType": "CTAcquisitionTypeSequence",
    "FrameAcquisitionDateTime": "FrameContentSequence",
    "ContrastBolusAgentAdministered": "ContrastBolusUsageSequence",
}


class Unreadable(ValueError):
    """A required attribute is missing or malformed; the message names it."""


def is_multi_frame(header: Dataset) -> bool:
    return header.get("SOPClassUID") in MULTI_FRAME_CT


def find(header: Dataset, keyword: str, number: int = 1) -> Any:
    """Value of the attribute for a frame (1-based), None where absent or empty; Unreadable if malformed."""
    try:
        for place in _places(header, keyword, number):
            value = place.get(keyword)
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
        found = tuple(float(v) for v in (value if isinstance(value, Sequence) else [value]))
    except MALFORMED as exc:
        raise Unreadable(f"{keyword} is malformed") from exc
    if len(found) != count or not all(map(isfinite, found)):
        raise Unreadable(f"{keyword} is malformed")
    return found


def optional_number(header: Dataset, keyword: str, number: int = 1) -> float | None:
    """One finite number, None where absent or empty."""
    return None if find(header, keyword, number) is None else numbers(header, keyword, 1, number)[0]


def text(header: Dataset, keyword: str, number: int = 1) -> str:
    """Text of the attribute, several values joined as in DICOM; "" where absent."""
    return "\\".join(texts(header, keyword, number))


def texts(header: Dataset, keyword: str, number: int = 1) -> tuple[str, ...]:
    """Each value of the attribute as text."""
    value = find(header, keyword, number)
    if value is None:
        return ()
    several = isinstance(value, Sequence) and not isinstance(value, str)
    return tuple(str(v).strip() for v in (value if several else [value]))


def _places(header: Dataset, keyword: str, number: int) -> Iterator[Dataset]:
    """Where the attribute of a frame may stand, most specific first."""
    if keyword not in _MACRO or not is_multi_frame(header):
        yield header
        return
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    shared = header.get("SharedFunctionalGroupsSequence") or []
    for group in [*per_frame[number - 1 : number], *shared]:
        yield from group.get(_MACRO[keyword]) or []
