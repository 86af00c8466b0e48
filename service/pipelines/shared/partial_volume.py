"""Voxels at the lung's upper and lower surfaces that are lung and soft tissue at once, and look like an opacity.

The dome of the diaphragm passes through a slice at a small angle, so a slice there averages lung and liver over
centimetres. A network that sees one slice at a time cannot tell that from ground glass; the slices above and below can.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

THIN_MM = 4.0
"""An opacity on the surface is believed if it is thicker than this, and thicker than one slice, along the slices."""

_ALONG_SLICES = np.zeros((3, 3, 3), np.bool_)
_ALONG_SLICES[:, 1, 1] = True

Mask = NDArray[np.bool_]


def partial_volume(opacity: Mask, lungs: Mask, slice_mm: float) -> Mask:
    """The part of `opacity` that the surface explains, axes (slice, row, column).

    A column of opacity voxels, one above the other, is explained if the lungs end where it ends, at the top or at the
    bottom, and it is thin. Beyond the first and the last slice nothing is known, so they are no surface.
    slice_mm: from slice to slice.
    """
    columns, count = ndimage.label(opacity, _ALONG_SLICES)
    surface = opacity & ~ndimage.binary_erosion(lungs, _ALONG_SLICES, border_value=1)
    at_surface = np.zeros(count + 1, np.bool_)
    at_surface[columns[surface]] = True
    thin = np.bincount(columns.ravel()) <= max(1, int(THIN_MM / slice_mm))
    explained: Mask = (at_surface & thin)[columns] & opacity
    return explained
