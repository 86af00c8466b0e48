"""Lines of measurements in an SR (TID 320): on one image where they lie in one slice, else in space."""

from collections.abc import Sequence

import numpy as np
from highdicom import sr

from service.domain.analysis import Point
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
    volume = case.ct.volume
    points = np.asarray(line, np.float64)
    slices, rows, columns = volume.map_reference_to_indices(points, round_output=False).T
    for found, length in zip((slices, rows, columns), volume.spatial_shape, strict=True):
        if found.min() < -0.5 - _ROUNDING or found.max() > length - 0.5 + _ROUNDING:
            raise ValueError(f"a line of a measurement leaves the CT: {points.tolist()}")
    number = int(np.rint(slices[0]))
    if np.abs(slices - number).max() > _SAME_SLICE:
        uid = str(case.header.FrameOfReferenceUID)
        return sr.CoordinatesForMeasurement3D(sr.GraphicTypeValues3D.POLYLINE, points, uid)
    on_image = (np.stack([columns, rows], axis=1) + 0.5).clip(0.0, (volume.spatial_shape[2], volume.spatial_shape[1]))
    return sr.CoordinatesForMeasurement(sr.GraphicTypeValues.POLYLINE, on_image, _image(case, number))


def _image(case: Case, number: int) -> sr.SourceImageForRegion:
    """The image of a slice; of an Enhanced CT its frame."""
    frames = case.ct.frame_numbers
    source = case.sources[0 if frames else number]
    return sr.SourceImageForRegion(source.SOPClassUID, source.SOPInstanceUID, [frames[number]] if frames else None)
