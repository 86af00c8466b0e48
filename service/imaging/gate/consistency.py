"""Checks one acquisition and reconstruction: which attributes are the same in every slice or run along the stack.

Slices of two reconstructions can lie on one regular grid, every second one from the other. Each attribute is
compared over all slices (PS3.3 C.7.5.1, C.7.6.2, C.8.2.1, C.8.15.3): either it is constant, or it follows the stack.
Tube current, exposure and dose are not: scanners modulate them.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from service.errors import Reason, Refusal
from service.imaging.attributes import Unreadable, is_multi_frame, items, known_text, numbers, text, texts
from service.imaging.frames import Frame

CONSTANT = (
    *("KVP", "FilterType", "ScanOptions", "AcquisitionType", "PatientPosition"),
    *("ConvolutionKernel", "ReconstructionAlgorithm", "ReconstructionDiameter"),
    *("ContrastBolusAgent", "ContrastBolusAgentAdministered"),
    *("Manufacturer", "ManufacturerModelName", "StationName", "DeviceSerialNumber"),
    *("TemporalPositionIdentifier", "TemporalPositionIndex", "NominalPercentageOfCardiacPhase"),
)
"""An absent value is a value: a slice without contrast agent is of another acquisition than one with it, and a block
that alone names a scanner is of another one."""

CONSTANT_WHERE_STATED = ("RescaleType",)
"""An absent value says nothing."""

BLOCKS = (
    *("AcquisitionNumber", "FrameAcquisitionNumber", "AcquisitionDate", "IrradiationEventUID"),
    *("SpiralPitchFactor", "SingleCollimationWidth", "DataCollectionDiameter", "TableHeight", "RotationDirection"),
    *("FocalSpots", "SeriesDescription", "ProtocolName"),
)
"""May change along the stack (step and shoot), but never comes back."""

_NEAR_MM = {"TableHeight": 2.0, "DataCollectionDiameter": 2.0}
"""Measured, not chosen: values that follow each other that closely are one."""

_STRICT_IMAGE_TYPE = 3
"""Values of Image Type whose meaning DICOM fixes; the vendors' own after them may change along the stack."""

_TIMES = (("AcquisitionDate", "AcquisitionTime"), ("AcquisitionDateTime",), ("FrameAcquisitionDateTime",))
_DATE_TIME = re.compile(r"(?:(\d{4})(\d\d)(\d\d))?(\d\d)(\d\d)(\d\d)(\.\d+)?(?:[+-]\d{4})?")
_DAY_S, _MIDNIGHT_S = 86400.0, 3600.0
_BACK_S = 2.0
"""Seconds by which a slice may be acquired against the direction of the scan."""

_THICKNESS_MM = 0.05
_CENTRE_MM = 0.1

Read = Callable[[Frame], str]


def check(images: Sequence[Dataset], frames: Sequence[Frame], normal: NDArray[np.float64]) -> Iterator[Refusal]:
    """MULTIPHASE, and MIXED_GEOMETRY for thickness and reconstruction centre.

    frames: of `images`, of one orientation; normal: their unit normal (LPS).
    """
    stack = [frames[k] for k in np.argsort(np.array([f.position_mm for f in frames]) @ normal, kind="stable")]
    yield from _constant(images, stack)
    yield from _blocks(images, stack)
    yield from _times(images, stack)
    yield from _thickness(stack)
    yield from _centre(images, stack)


def _constant(images: Sequence[Dataset], stack: Sequence[Frame]) -> Iterator[Refusal]:
    readers = {keyword: _reader(images, keyword) for keyword in (*CONSTANT, *CONSTANT_WHERE_STATED)}
    readers["ContrastBolusAgentSequence"] = lambda frame: _agents(images[frame.instance])
    for place in range(_STRICT_IMAGE_TYPE):
        readers[f"Value {place + 1} of Image Type"] = _image_type(images, slice(place, place + 1))
    for name, read in readers.items():
        written = [value for frame in stack if (value := read(frame)) or name not in CONSTANT_WHERE_STATED]
        values = Counter(map(_plain, written))
        if len(values) > 1:
            spelling = {_plain(value): value for value in reversed(written)}
            shares = ", ".join(f"{_shown(spelling[value])} in {count}" for value, count in values.most_common(4))
            yield Refusal(Reason.MULTIPHASE, f"{name} is {shares} of {len(stack)} slices.")


def _blocks(images: Sequence[Dataset], stack: Sequence[Frame]) -> Iterator[Refusal]:
    readers = {keyword: _reader(images, keyword) for keyword in BLOCKS}
    readers["Image Type after its third value"] = _image_type(images, slice(_STRICT_IMAGE_TYPE, None))
    for name, read in readers.items():
        values = _merged([_plain(read(frame)) for frame in stack], _NEAR_MM.get(name, 0.0))
        runs = 1 + sum(one != following for one, following in pairwise(values))
        if runs > len(set(values)):
            detail = f"{name} changes {runs - 1} times along {len(stack)} slices between {len(set(values))} values"
            yield Refusal(Reason.MULTIPHASE, f"{detail}.")


def _merged(values: Sequence[str], near: float) -> Sequence[str]:
    """The values, numbers that follow each other by no more than `near` as one."""
    if not near:
        return values
    numbers_of = {value: number for value in set(values) if (number := _number(value)) is not None}
    first: dict[str, str] = {}
    for value, following in pairwise(sorted(numbers_of, key=numbers_of.__getitem__)):
        first.setdefault(value, value)
        first[following] = first[value] if numbers_of[following] - numbers_of[value] <= near else following
    return [first.get(value, value) for value in values]


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _image_type(images: Sequence[Dataset], places: slice) -> Read:
    """Some values of Image Type, or of a frame's own Frame Type."""

    def read(frame: Frame) -> str:
        image = images[frame.instance]
        try:
            values = texts(image, "FrameType" if is_multi_frame(image) else "ImageType", frame.number)
        except Unreadable:
            return ""
        return "\\".join(values[places])

    return read


def _agents(image: Dataset) -> str:
    """Codes of the contrast agents, "unnamed" for one without; "" for none."""
    try:
        agents = items(image, "ContrastBolusAgentSequence")
    except Unreadable:
        return ""
    return "\\".join(sorted(known_text(agent, "CodeValue") or "unnamed" for agent in agents))


def _times(images: Sequence[Dataset], stack: Sequence[Frame]) -> Iterator[Refusal]:
    """Acquisition runs along the stack, in either direction; slices of two acquisitions go back and forth."""
    for keywords in _TIMES:
        readers = [_reader(images, keyword) for keyword in keywords]
        seconds = [_seconds([read(frame) for read in readers]) for frame in stack]
        known = _over_midnight(np.array([second for second in seconds if second is not None]))
        back_s = min(_furthest_back(known), _furthest_back(known[::-1])) if len(known) else 0.0
        if back_s > _BACK_S:
            detail = f"{keywords[-1]} goes back and forth along the stack, by up to {back_s:.0f} s."
            yield Refusal(Reason.MULTIPHASE, detail)


def _over_midnight(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same without one jump of about a day, which the date did not follow."""
    steps = np.diff(seconds)
    jumps = np.flatnonzero(np.abs(np.abs(steps) - _DAY_S) < _MIDNIGHT_S)
    if len(jumps) != 1:
        return seconds
    later = np.arange(len(seconds)) > jumps[0]
    return np.asarray(seconds - np.sign(steps[jumps[0]]) * _DAY_S * later, np.float64)


def _furthest_back(seconds: NDArray[np.float64]) -> float:
    return float((np.maximum.accumulate(seconds) - seconds).max())


def _thickness(stack: Sequence[Frame]) -> Iterator[Refusal]:
    stated_mm = [frame.thickness_mm for frame in stack if frame.thickness_mm is not None]
    if stated_mm and max(stated_mm) - min(stated_mm) > _THICKNESS_MM:
        detail = f"Slice Thickness from {min(stated_mm):.2f} to {max(stated_mm):.2f} mm."
        yield Refusal(Reason.MIXED_GEOMETRY, detail)


def _centre(images: Sequence[Dataset], stack: Sequence[Frame]) -> Iterator[Refusal]:
    """Centre of reconstruction in the plane; along the stack it moves."""
    centres_mm = np.array([place for frame in stack if (place := _target(images[frame.instance], frame.number))])
    if len(centres_mm) and np.ptp(centres_mm[:, :2], axis=0).max() > _CENTRE_MM:
        moved_mm = np.ptp(centres_mm[:, :2], axis=0).max()
        detail = f"Reconstruction Target Center (Patient) moves by {moved_mm:.1f} mm in the plane."
        yield Refusal(Reason.MIXED_GEOMETRY, detail)


def _target(image: Dataset, number: int) -> tuple[float, ...] | None:
    try:
        return numbers(image, "ReconstructionTargetCenterPatient", 3, number)
    except Unreadable:
        return None


def _reader(images: Sequence[Dataset], keyword: str) -> Read:
    """Text of the attribute for a frame; "" where it is absent or malformed, which others refuse by name."""

    def read(frame: Frame) -> str:
        try:
            return text(images[frame.instance], keyword, frame.number)
        except Unreadable:
            return ""

    return read


def _plain(value: str) -> str:
    """Numbers by value, words without case and padding."""
    try:
        return f"{float(value):.6g}"
    except ValueError:
        return " ".join(value.split()).casefold()


def _shown(value: str) -> str:
    return f'"{value[:24]}"' if value else "absent"


def _seconds(written: Sequence[str]) -> float | None:
    """Seconds of DA and TM, or of DT (PS3.5 6.2), since year 1 or midnight; None if it is no complete time."""
    found = _DATE_TIME.fullmatch("".join(written))
    if found is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    try:
        days = date(year, month, day).toordinal() if year else 0
    except ValueError:
        return None
    return 86400.0 * days + 3600.0 * hour + 60.0 * minute + second + float(f"0{found[7] or '.0'}")
