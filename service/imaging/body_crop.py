"""Axial slices cropped to the body and stretched to a square, as the networks of lungmask take them.

After Hofmanninger 2020 (doi:10.1186/s41747-020-00173-2) and the preprocessing of the package `lungmask` 0.2: each slice
is clipped to the window, cropped to the bounding box of the body found in it, and interpolated linearly so that the
box's corner pixels become the crop's corner pixels. A crop is a volume of one slice with its own affine, so the way
back is `harmonise.resample_like` like everywhere else.
"""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.ct import Hounsfield
from service.imaging.harmonise import MODEL_ORIENTATION, resample_like

BODY_HU = -500.0
"""Denser than that is body; a threshold of the method, the networks were trained with it."""

_COARSE = 128
"""The body is looked for in a slice thinned to that many rows and columns."""

_OPENING = 2
"""Coarse pixels: what is thinner than twice that (table, sheets, lines) is cut off the body."""


def to_body_crops(volume: hd.Volume, size: int, window_hu: tuple[int, int]) -> list[hd.Volume]:
    """One crop per slice: int16 HU within `window_hu`, shape (1, size, size), axes as `MODEL_ORIENTATION`.

    volume: HU, any axis order.
    """
    oriented = volume.to_patient_orientation(MODEL_ORIENTATION)
    return [_crop(oriented[k : k + 1], size, window_hu) for k in range(oriented.spatial_shape[0])]


def _crop(plane: hd.Volume, size: int, window_hu: tuple[int, int]) -> hd.Volume:
    hu = plane.array.clip(*window_hu)
    (top, bottom), (left, right) = body_box(hu[0])
    pixels = np.array([bottom - 1 - top, right - 1 - left]) / (size - 1)
    grid = hd.Volume.from_components(
        np.zeros((1, size, size), np.int16),
        spacing=[plane.spacing[0], *(pixels * plane.spacing[1:])],
        coordinate_system="PATIENT",
        position=(plane.affine[:3] @ [0.0, top, left, 1.0]).tolist(),
        direction=plane.direction.flatten().tolist(),
        frame_of_reference_uid=plane.frame_of_reference_uid,
    )
    resampled = resample_like(plane.with_array(hu.astype(np.float32)), grid)
    return grid.with_array(np.rint(resampled).astype(np.int16))


def body_box(hu: Hounsfield) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows and columns (first, behind the last) of the body in one slice; the whole slice if there is none."""
    there, back = zip(*(_nearest(length) for length in hu.shape), strict=True)
    coarse = hu[np.ix_(*there)] > BODY_HU
    filled = ndimage.binary_fill_holes(ndimage.binary_closing(coarse), np.ones((3, 3)))
    pieces, count = ndimage.label(ndimage.binary_erosion(filled, iterations=_OPENING))
    if count == 0:
        return (0, hu.shape[0]), (0, hu.shape[1])
    largest = 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    body = ndimage.binary_dilation(pieces == largest, iterations=_OPENING)[np.ix_(*back)]
    rows, columns = (np.flatnonzero(body.any(axis)) for axis in (1, 0))
    return (int(rows[0]), int(rows[-1]) + 1), (int(columns[0]), int(columns[-1]) + 1)


def _nearest(length: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices that thin an axis to `_COARSE` pixels, and those that repeat these back to `length`; ends stay ends."""
    there = np.linspace(0, length - 1, _COARSE)
    back = np.linspace(0, _COARSE - 1, length)
    return np.floor(there + 0.5).astype(np.intp), np.floor(back + 0.5).astype(np.intp)
