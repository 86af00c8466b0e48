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
from service.imaging.attributes import Unreadable, find, is_multi_frame, numbers, optional_number, text, texts

# Attributes of an instance that everything later relies on: results copy them from the source.
_REQUIRED = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_LEGIBLE = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDate", "StudyTime", "StudyID"),
    *("AccessionNumber", "ReferringPhysicianName", "SeriesNumber", "ImageType", "ConvolutionKernel"),
    *("ContrastBolusAgent", "ContrastBolusAgentSequence", "NumberOfFrames", "PerFrameFunctionalGroupsSequence"),
    *("SharedFunctionalGroupsSequence", "SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated", "BitsStored"),
    *("PixelRepresentation", "PixelPaddingValue", "PixelPaddingRangeLimit", "LossyImageCompression"),
)
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
    pixel_spacing_mm: between rows, between columns. phase: values that tell phases of one region apart.
    label: what people call it: Instance Number, or the frame number in a multi-frame CT.
    """

    instance: int
    number: int
    sop_instance_uid: str
    frame_of_reference_uid: str
    orientation: tuple[float, ...]
    position_mm: tuple[float, ...]
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
    for keyword in _REQUIRED:
        if len(texts(header, keyword)) != 1:
            raise Unreadable(f"{keyword} is missing or malformed")
    for keyword in _LEGIBLE:
        find(header, keyword)
    for number in range(1, frame_count(header) + 1):
        image_type(header, number)
    if int(optional_number(header, "NumberOfFrames") or 1) != frame_count(header):
        raise Unreadable("NumberOfFrames does not agree with the functional groups")


def _frame(header: Dataset, instance: int, number: int) -> Frame:
    reference = text(header, "FrameOfReferenceUID")
    if not reference:
        raise Unreadable("FrameOfReferenceUID is missing")
    return Frame(
        instance=instance,
        number=number,
        sop_instance_uid=text(header, "SOPInstanceUID"),
        frame_of_reference_uid=reference,
        orientation=_orientation(header, number),
        position_mm=numbers(header, "ImagePositionPatient", 3, number),
        pixel_spacing_mm=_pixel_spacing(header, number),
        rows=int(numbers(header, "Rows", 1)[0]),
        columns=int(numbers(header, "Columns", 1)[0]),
        thickness_mm=optional_number(header, "SliceThickness", number),
        tilt_degrees=optional_number(header, "GantryDetectorTilt", number),
        rescale_slope=optional_number(header, "RescaleSlope", number),
        rescale_intercept=optional_number(header, "RescaleIntercept", number),
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


def _pixel_spacing(header: Dataset, number: int) -> tuple[float, ...]:
    spacing_mm = numbers(header, "PixelSpacing", 2, number)
    if min(spacing_mm) <= 0:
        raise Unreadable("PixelSpacing is not positive")
    return spacing_mm
