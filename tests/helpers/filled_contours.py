"""Reads an RT Structure Set as another program would: contours of a file to masks, by the headers of the CT alone.

Pixels are filled by Agg, the rasteriser of matplotlib, which asks whether their centres lie inside.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.path import Path
from numpy.typing import NDArray
from pydicom import Dataset

Masks = dict[str, NDArray[np.bool_]]


def filled(shape: tuple[int, int], corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Pixels whose centres lie in a polygon of rows and columns."""
    first, last = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    rows, columns = (
        np.arange(max(low, 0), min(high + 1, length)) for low, high, length in zip(first, last, shape, strict=True)
    )
    centres = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1)
    inside = np.zeros(shape, np.bool_)
    inside[np.ix_(rows, columns)] = Path(corners).contains_points(centres.reshape(-1, 2)).reshape(centres.shape[:2])
    return inside


def masks(structures: Dataset, images: Sequence[Dataset], within_mm: float) -> Masks:
    """Mask of each ROI by its name, axes (image, row, column); every contour lies in its image's plane within this.

    images: one for each slice, or one frame of an Enhanced CT. No two contours of an ROI may overlap.
    """
    names = {int(one.ROINumber): str(one.ROIName) for one in structures.StructureSetROISequence}
    return {
        names[int(roi.ReferencedROINumber)]: _mask(roi.ContourSequence, images, within_mm)
        for roi in structures.ROIContourSequence
    }


def _mask(contours: Sequence[Dataset], images: Sequence[Dataset], within_mm: float) -> NDArray[np.bool_]:
    mask = np.zeros((len(images), images[0].Rows, images[0].Columns), np.bool_)
    numbers = {_key(image): number for number, image in enumerate(images)}
    for contour in contours:
        (reference,) = contour.ContourImageSequence
        number = numbers[str(reference.ReferencedSOPInstanceUID), int(reference.get("ReferencedFrameNumber") or 0)]
        assert contour.ContourGeometricType == "CLOSED_PLANAR"
        points = np.array(contour.ContourData, float).reshape(-1, 3)
        assert len(points) == contour.NumberOfContourPoints
        inside = filled(mask.shape[1:], _in_plane(points, images[number], within_mm))
        assert not (mask[number] & inside).any()
        mask[number] |= inside
    return mask


def _key(image: Dataset) -> tuple[str, int]:
    return str(image.SOPInstanceUID), int(image.get("frame") or 0)


def _in_plane(points: NDArray[np.float64], image: Dataset, within_mm: float) -> NDArray[np.float64]:
    """Row and column of each point, by equation C.7.6.2.1-1 of PS3.3."""
    along_row, along_column = np.array(image.ImageOrientationPatient, float).reshape(2, 3)
    between_rows, between_columns = (float(one) for one in image.PixelSpacing)
    from_first = points - np.array(image.ImagePositionPatient, float)
    assert np.abs(from_first @ np.cross(along_row, along_column)).max() <= within_mm
    return np.stack([from_first @ along_column / between_rows, from_first @ along_row / between_columns], axis=1)
