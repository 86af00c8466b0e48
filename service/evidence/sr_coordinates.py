"""Lines of measurements in an SR (TID 320): on one image where they lie in one slice, else in space."""

from collections.abc import Sequence

import numpy as np
from highdicom import sr
from numpy.typing import NDArray
from pydicom import Dataset

from service.domain import codes
from service.domain.analysis import Measurement, Point
from service.evidence.case import Case

_SAME_SLICE = 0.05
"""Part of the distance of two slices up to which a point lies in one."""

_ROUNDING = 1e-3
"""Part of a voxel that mapping to mm and back may add to a point on the border of the CT."""

Coordinates = sr.CoordinatesForMeasurement | sr.CoordinatesForMeasurement3D


def coordinates(line: Sequence[Point], case: Case) -> Coordinates:
    """A polyline. ValueError if a point lies outside the CT.

    On an image: columns and rows, the first corner of the first pixel is (0, 0) (PS3.3 C.18.6.1.2); most viewers draw
    only these. In space: mm in the CT's frame of reference.
    """
    volume, points = case.ct.volume, np.asarray(line, np.float64)
    slices, rows, columns = _indices(points, case).T
    if (number := _one_slice(slices)) is None:
        uid = str(case.header.FrameOfReferenceUID)
        return sr.CoordinatesForMeasurement3D(sr.GraphicTypeValues3D.POLYLINE, points, uid)
    on_image = (np.stack([columns, rows], axis=1) + 0.5).clip(0.0, (volume.spatial_shape[2], volume.spatial_shape[1]))
    return sr.CoordinatesForMeasurement(sr.GraphicTypeValues.POLYLINE, on_image, _image(case, number))


def image_of_first(measured: Sequence[Measurement], case: Case) -> sr.ImageContentItem | None:
    """The image of the first line that lies in one slice, as key image of what was measured; None without such a line.

    ValueError if a point lies outside the CT.
    """
    for one in measured:
        number = _one_slice(_indices(np.asarray(one.line, np.float64), case)[:, 0])
        if number is not None:
            source, frames = _source(case, number)
            return sr.ImageContentItem(
                codes.KEY_IMAGE,
                source.SOPClassUID,
                source.SOPInstanceUID,
                referenced_frame_numbers=frames,
                relationship_type=sr.RelationshipTypeValues.CONTAINS,
            )
    return None


def _indices(points: NDArray[np.float64], case: Case) -> NDArray[np.float64]:
    """Points as (slice, row, column) of the CT; ValueError if one lies outside of it."""
    volume = case.ct.volume
    indices = volume.map_reference_to_indices(points, round_output=False)
    for found, length in zip(indices.T, volume.spatial_shape, strict=True):
        if found.min() < -0.5 - _ROUNDING or found.max() > length - 0.5 + _ROUNDING:
            raise ValueError(f"a line of a measurement leaves the CT: {points.tolist()}")
    return np.asarray(indices, np.float64)


def _one_slice(slices: NDArray[np.float64]) -> int | None:
    """The slice that all points lie in; None if there is none."""
    number = int(np.rint(slices[0]))
    return number if np.abs(slices - number).max() <= _SAME_SLICE else None


def _image(case: Case, number: int) -> sr.SourceImageForRegion:
    source, frames = _source(case, number)
    return sr.SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID, frames)


def _source(case: Case, number: int) -> tuple[Dataset, list[int] | None]:
    """The image of a slice; of an Enhanced CT the image and its frame."""
    frames = case.ct.frame_numbers
    return case.sources[0 if frames else number], [frames[number]] if frames else None
