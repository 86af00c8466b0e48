"""Slices as the headers describe them, the same for classic CT (one per instance) and multi-frame CT (one per frame).

Sources: PS3.3 C.7.6.2 (Image Plane), C.8.2.1 (CT Image), C.8.15 (Enhanced CT).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot
from re import fullmatch

from pydicom import Dataset

from service.errors import Reason, Refusal
from service.imaging.attributes import (
    CT_CLASSES,
    Unreadable,
    find,
    is_multi_frame,
    is_unique_identifier,
    items,
    numbers,
    optional_number,
    text,
    texts,
    within,
    written_units,
)
from service.imaging.padding import padding_ends

# Attributes of an instance that everything later relies on: results copy them from the source.
_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_LEGIBLE = (
    *("SpecificCharacterSet", "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDate"),
    *("StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName", "SeriesNumber", "ImageType"),
    *("ConvolutionKernel", "ContrastBolusAgent", "NumberOfFrames", "PhotometricInterpretation"),
    *("LossyImageCompression", "VolumetricProperties", "VolumeBasedCalculationTechnique"),
)
_ITEMS = ("ContrastBolusAgentSequence", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
_PIXEL_FORMAT = {
    "SamplesPerPixel": (1,),
    "BitsAllocated": (8, 16, 32),
    "BitsStored": range(1, 33),
    "PixelRepresentation": (0, 1),
}
"""Values of a CT image (PS3.3 C.8.2.1.1); those that are absent are left to the decoder."""

# Bounds beyond which a value is a mistake of the sender's, whatever the scanner.
_PIXEL_SPACING_MM = (0.01, 25.0)
_POSITION_MM = (-20_000.0, 20_000.0)
_THICKNESS_MM = (0.0, 1000.0)
_TILT_DEGREES = (-360.0, 360.0)
_SLOPE = (-1000.0, 1000.0)
_INTERCEPT = (-1e6, 1e6)
_SIDE = (1.0, 65535.0)

# What tells acquisitions, phases and energies of one region apart.
_PHASE = (
    "AcquisitionNumber",
    "FrameAcquisitionNumber",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "NominalPercentageOfCardiacPhase",
    "KVP",
)
_COSINE_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice. Lengths in mm, LPS; None where an optional attribute is absent.

    instance: index of its dataset; number: its 1-based frame number there.
    position_unit_mm: of the last decimal that each coordinate was written with.
    pixel_spacing_mm: between rows, between columns. phase: values that tell phases of one region apart.
    label: what people call it: Instance Number, or the frame number in a multi-frame CT.
    """

    instance: int
    number: int
    sop_instance_uid: str
    frame_of_reference_uid: str
    orientation: tuple[float, ...]
    position_mm: tuple[float, ...]
    position_unit_mm: tuple[float, ...]
    pixel_spacing_mm: tuple[float, ...]
    rows: int
    columns: int
    thickness_mm: float | None
    tilt_degrees: float | None
    rescale_slope: float | None
    rescale_intercept: float | None
    rescale_type: str
    phase: tuple[str, ...]
    label: int | None = None


def legible(headers: Sequence[Dataset]) -> tuple[list[Dataset], tuple[Refusal, ...]]:
    """The instances whose identity and image attributes can be read, and a refusal for each attribute that cannot."""
    good: list[Dataset] = []
    problems: Counter[str] = Counter()
    for header in headers:
        try:
            _check_instance(header)
            good.append(header)
        except Unreadable as problem:
            problems[str(problem)] += 1
    return good, _refusals(problems, len(headers), "images")


def read_frames(headers: Sequence[Dataset]) -> tuple[tuple[Frame, ...], tuple[Refusal, ...]]:
    """All slices of legible CT instances in the given order, and a refusal for each attribute that cannot be read."""
    frames: list[Frame] = []
    problems: Counter[str] = Counter()
    for instance, header in enumerate(headers):
        for number in range(1, frame_count(header) + 1):
            try:
                frames.append(_frame(header, instance, number))
            except Unreadable as problem:
                problems[str(problem)] += 1
    return tuple(frames), _refusals(problems, len(frames) + problems.total(), "slices")


def frame_count(header: Dataset) -> int:
    """Number of slices in one instance."""
    return len(header.get("PerFrameFunctionalGroupsSequence") or [None]) if is_multi_frame(header) else 1


def image_type(header: Dataset, number: int = 1) -> tuple[str, ...]:
    """Image Type, or a frame's own Frame Type, in capitals."""
    return tuple(v.upper() for v in texts(header, "FrameType" if is_multi_frame(header) else "ImageType", number))


def _refusals(problems: Counter[str], total: int, what: str) -> tuple[Refusal, ...]:
    return tuple(
        Refusal(Reason.UNREADABLE, f"{text} in {count} of {total} {what}.") for text, count in problems.items()
    )


def _check_instance(header: Dataset) -> None:
    """The identity of an instance of any kind, and of a CT image all that is read of it."""
    for keyword in _REQUIRED:
        if not is_unique_identifier(find(header, keyword)):
            raise Unreadable(f"{keyword} is missing or malformed")
    if header.SOPClassUID in CT_CLASSES:
        _check_ct(header)


def _check_ct(header: Dataset) -> None:
    for keyword in _LEGIBLE:
        texts(header, keyword)
    if len(texts(header, "PatientID")) > 1:
        raise Unreadable("PatientID has several values")
    for keyword in _ITEMS:
        items(header, keyword)
    for keyword, allowed in _PIXEL_FORMAT.items():
        value = optional_number(header, keyword)
        if value is not None and value not in allowed:
            raise Unreadable(f"{keyword} is {value:g}")
    padding_ends(header)
    if int(optional_number(header, "NumberOfFrames") or 1) != frame_count(header):
        raise Unreadable("NumberOfFrames does not agree with the functional groups")
    for number in range(1, frame_count(header) + 1):
        image_type(header, number)


def _frame(header: Dataset, instance: int, number: int) -> Frame:
    return Frame(
        instance=instance,
        number=number,
        sop_instance_uid=text(header, "SOPInstanceUID"),
        frame_of_reference_uid=_frame_of_reference(header),
        orientation=_orientation(header, number),
        position_mm=within("ImagePositionPatient", numbers(header, "ImagePositionPatient", 3, number), _POSITION_MM),
        position_unit_mm=written_units(header, "ImagePositionPatient", number),
        pixel_spacing_mm=within("PixelSpacing", numbers(header, "PixelSpacing", 2, number), _PIXEL_SPACING_MM),
        rows=_side(header, "Rows"),
        columns=_side(header, "Columns"),
        thickness_mm=_optional(header, "SliceThickness", number, _THICKNESS_MM),
        tilt_degrees=_optional(header, "GantryDetectorTilt", number, _TILT_DEGREES),
        rescale_slope=_optional(header, "RescaleSlope", number, _SLOPE),
        rescale_intercept=_optional(header, "RescaleIntercept", number, _INTERCEPT),
        rescale_type=text(header, "RescaleType", number),
        phase=tuple(text(header, keyword, number) for keyword in _PHASE),
        label=number if is_multi_frame(header) else _instance_number(header),
    )


def _instance_number(header: Dataset) -> int | None:
    """None where it is absent or no plain integer: it only names a slice."""
    try:
        written = text(header, "InstanceNumber")
    except Unreadable:
        return None
    return int(written) if fullmatch(r"[0-9]{1,12}", written) else None


def _frame_of_reference(header: Dataset) -> str:
    uid = find(header, "FrameOfReferenceUID")
    if uid is None:
        raise Unreadable("FrameOfReferenceUID is missing")
    if not is_unique_identifier(uid):
        raise Unreadable("FrameOfReferenceUID is malformed")
    return str(uid)


def _side(header: Dataset, keyword: str) -> int:
    (value,) = within(keyword, numbers(header, keyword, 1), _SIDE)
    if not value.is_integer():
        raise Unreadable(f"{keyword} is {value:g}")
    return int(value)


def _optional(header: Dataset, keyword: str, number: int, bounds: tuple[float, float]) -> float | None:
    value = optional_number(header, keyword, number)
    return None if value is None else within(keyword, (value,), bounds)[0]


def _orientation(header: Dataset, number: int) -> tuple[float, ...]:
    """Two perpendicular unit vectors, but for rounding."""
    cosines = numbers(header, "ImageOrientationPatient", 6, number)
    along_row, along_column = cosines[:3], cosines[3:]
    if (
        abs(hypot(*along_row) - 1.0) > _COSINE_TOLERANCE
        or abs(hypot(*along_column) - 1.0) > _COSINE_TOLERANCE
        or abs(sum(r * c for r, c in zip(along_row, along_column, strict=True))) > _COSINE_TOLERANCE
    ):
        raise Unreadable("ImageOrientationPatient is not a pair of perpendicular unit vectors")
    return cosines
