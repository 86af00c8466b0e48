"""Axial and coronal pictures of a CT with marked labels, readable in colour and in grey print."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.analysis import LabelArray
from service.domain.ct import Hounsfield
from service.domain.report import Picture, RgbArray
from service.imaging.render import Mark, Palette, lung_box

WINDOW_HU = (-1250.0, 250.0)
MARGIN_MM = 22.0
PIXELS = 720
"""Pixels along the longer side of a picture."""

_HATCH_PERIOD, _HATCH_WIDTH = 11, 3


def busiest_plane(marked: LabelArray, lungs: LabelArray, axis: int, least_lung: float = 0.0) -> tuple[int, bool]:
    """Index along `axis` of the plane with most marked voxels, and True; without any the one with most lung, False.

    least_lung: planes with less than this part of the largest area of lung count only if no other has marked voxels.
    """
    affected, lung = _areas(marked, axis), _areas(lungs, axis)
    if not affected.any():
        return int(np.argmax(lung)), False
    through_lung = np.where(lung >= least_lung * lung.max(), affected, 0)
    return int(np.argmax(through_lung if through_lung.any() else affected)), True


def _areas(labels: LabelArray, axis: int) -> NDArray[np.int64]:
    """Voxels with a label in each plane across the axis."""
    if axis == 0:
        return np.array([np.count_nonzero(plane) for plane in labels])
    found = np.zeros(labels.shape[axis], np.int64)
    for plane in labels:
        found += (plane != 0).sum(2 - axis, dtype=np.int64)
    return found


def slice_picture(
    hu: Hounsfield,
    marked: LabelArray,
    lungs: LabelArray,
    spacing_mm: tuple[float, float],
    marks: Sequence[Mark],
) -> Picture:
    """One plane, cropped to the lungs. All arrays share axes (row, column); spacing_mm: along them."""
    box, mm_per_pixel = cropped(lungs, spacing_mm)
    factors = [s / mm_per_pixel for s in spacing_mm]
    rgb = _grey(_resampled(hu[box], factors))
    for mark in marks:
        _mark(rgb, _resampled(marked[box] == mark.label, factors) >= 0.5, mark)
    return Picture(np.round(rgb).astype(np.uint8), mm_per_pixel)


def coloured_picture(hu: Hounsfield, lungs: LabelArray, spacing_mm: tuple[float, float], palette: Palette) -> Picture:
    """One plane, cropped to the lungs, which are coloured by their attenuation; the rest is grey. Axes as above."""
    box, mm_per_pixel = cropped(lungs, spacing_mm)
    factors = [s / mm_per_pixel for s in spacing_mm]
    fine = _resampled(hu[box], factors)
    inside = _resampled(lungs[box] > 0, factors) >= 0.5
    rgb = _grey(fine)
    rgb[inside] = palette(fine[inside])
    return Picture(np.round(rgb).astype(np.uint8), mm_per_pixel)


def cropped(lungs: LabelArray, spacing_mm: tuple[float, float]) -> tuple[tuple[slice, ...], float]:
    """The box of the lungs with a margin, and how large a pixel of its picture is in mm."""
    box = lung_box(lungs, tuple(int(MARGIN_MM / s) for s in spacing_mm))
    return box, max(n * s for n, s in zip(lungs[box].shape, spacing_mm, strict=True)) / PIXELS


def gradient(palette: Palette, rows: int = 36, columns: int = 60) -> RgbArray:
    """A patch with all colours of a palette, the lowest on the left, for the legend."""
    (lowest, _), (highest, _) = palette.stops[0], palette.stops[-1]
    patch = palette(np.linspace(lowest, highest, columns))
    return np.round(np.repeat(patch[None], rows, axis=0)).astype(np.uint8)


def swatch(mark: Mark, rows: int = 36, columns: int = 60) -> RgbArray:
    """A patch that looks as the mark does in the pictures, for the legend."""
    rgb = np.full((rows, columns, 3), float(mark.background))
    inside = np.zeros((rows, columns), bool)
    inside[3:-3, 3:-3] = True
    _mark(rgb, inside, mark)
    return np.round(rgb).astype(np.uint8)


def _grey(hu: NDArray[Any]) -> NDArray[np.float64]:
    """RGB of the window, 0 to 255."""
    low, high = WINDOW_HU
    windowed = np.clip((hu - low) / (high - low), 0.0, 1.0) * 255.0
    return np.repeat(windowed[..., None], 3, axis=-1)


def _resampled(plane: NDArray[Any], factors: list[float]) -> NDArray[np.float64]:
    """Linear interpolation onto the picture's grid; of a mask it gives the covered fraction."""
    resampled: NDArray[np.float64] = ndimage.zoom(
        plane.astype(np.float64), factors, order=1, mode="nearest", grid_mode=True
    )
    return resampled


def _mark(rgb: NDArray[np.float64], inside: NDArray[np.bool_], mark: Mark) -> None:
    """Tint, outline and hatch, in place: grey print tells marks apart by outline and hatch."""
    colour = np.array(mark.rgb, float)
    rgb[inside] += mark.tint * (colour - rgb[inside])
    lines = inside & ~ndimage.binary_erosion(inside, iterations=2)
    if mark.hatched:
        row, column = np.indices(inside.shape)
        lines |= inside & ((row + column) % _HATCH_PERIOD < _HATCH_WIDTH)
    rgb[lines] = colour
