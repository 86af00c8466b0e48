"""A 3D picture of the lungs and what is marked in them, by compositing planes from front to back, in plain arrays.

The lungs are glass: nearly clear where their surface faces the viewer, denser towards the silhouette. Marked labels
are shaded solids inside. Seen from the front, on white.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.analysis import LabelArray
from service.domain.report import Picture
from service.imaging.render import Mark, lung_box

Plane = NDArray[np.float32]

GRID_MM = 1.4
ENLARGE = 2
_MARGIN_MM = 6.0
_LUNG_RGB = np.array([88.0, 112.0, 140.0], np.float32)
_LIGHT = np.array([-0.55, -0.72, -0.42], np.float32)
"""Towards the light, in view axes (down, back, left): above, in front, from the image's left."""


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """One plane across the line of sight: colour (row, column, 3) in 0-255 and coverage (row, column) in 0-1."""

    rgb: NDArray[np.float32]
    alpha: Plane


def picture_3d(
    lungs: LabelArray, marked: LabelArray, spacing_mm: tuple[float, float, float], marks: Sequence[Mark]
) -> Picture:
    """Lungs with what is marked. Both arrays have view axes (down, back, left); spacing_mm: along them."""
    box = lung_box(lungs, tuple(int(np.ceil(_MARGIN_MM / s)) for s in spacing_mm))
    glass = _density(lungs[box] > 0, spacing_mm, sigma=1.2)
    solid = _density(marked[box] > 0, spacing_mm, sigma=0.7)
    others = [(mark, _density(marked[box] == mark.label, spacing_mm, sigma=0.7)) for mark in marks[1:]]
    rgb = np.zeros((glass.shape[0], glass.shape[2], 3), np.float32)
    clear = np.ones(rgb.shape[:2], np.float32)
    for back in range(1, glass.shape[1] - 1):
        for layer in _layers(glass, solid, marks, others, back):
            rgb += (clear * layer.alpha)[..., None] * layer.rgb
            clear *= 1.0 - layer.alpha
    rgb += clear[..., None] * 255.0
    large = ndimage.zoom(rgb, (ENLARGE, ENLARGE, 1), order=1, mode="nearest", grid_mode=True)
    return Picture(np.clip(np.round(large), 0, 255).astype(np.uint8), GRID_MM / ENLARGE)


def _density(mask: NDArray[np.bool_], spacing_mm: tuple[float, ...], sigma: float) -> NDArray[np.float32]:
    """The mask on the rendering grid, smoothed so that its gradient is a surface normal."""
    factors = [s / GRID_MM for s in spacing_mm]
    nearest = [(np.arange(int(n * f)) / f).astype(int) for n, f in zip(mask.shape, factors, strict=True)]
    grid = np.pad(mask[np.ix_(*nearest)], 3).astype(np.float32)
    smooth = [max(sigma, 0.8 * f) for f in factors]  # coarse voxels must not show as stairs
    density: NDArray[np.float32] = ndimage.gaussian_filter(grid, smooth)
    return density


Others = Sequence[tuple[Mark, NDArray[np.float32]]]
"""Marks after the first, each with its density."""


def _layers(
    lungs: NDArray[Any], solid: NDArray[Any], marks: Sequence[Mark], others: Others, back: int
) -> Iterator[_Layer]:
    if lungs[:, back].any():
        yield _glass(lungs, back)
    if marks and solid[:, back].any():
        yield _solid(solid, marks[0], others, back)


def _glass(lungs: NDArray[np.float32], back: int) -> _Layer:
    """Lung surface: opaque in proportion to its steepness and to how far it turns away from the viewer."""
    normal, steepness = _surface(lungs, back)
    facing = np.abs(normal[1])
    alpha = np.clip(steepness * (0.05 + 0.80 * (1.0 - facing) ** 2), 0.0, 0.9)
    return _Layer(_lit(_LUNG_RGB, normal, ambient=0.75), alpha)


def _solid(solid: NDArray[np.float32], first: Mark, others: Others, back: int) -> _Layer:
    """Marked voxels: solid, in the first mark's colour but for the local share of the others."""
    normal, _ = _surface(solid, back)
    alpha = np.clip((solid[:, back] - 0.25) / 0.35, 0.0, 1.0) * 0.85
    base = np.array(first.rgb, np.float32)
    rgb = base
    for mark, density in others:
        share = np.clip(density[:, back] / np.maximum(solid[:, back], 1e-3), 0.0, 1.0)[..., None]
        rgb = rgb + share * (mark.shade * np.array(mark.rgb, np.float32) - base)
    return _Layer(_lit(rgb, normal, ambient=0.55), alpha)


def _surface(density: NDArray[np.float32], back: int) -> tuple[NDArray[np.float32], Plane]:
    """Outward unit normal, axes (component, row, column), components in view axes; and the gradient's length."""
    down, left = np.gradient(density[:, back])
    gradient = -np.stack([down, (density[:, back + 1] - density[:, back - 1]) / 2, left])
    length = np.linalg.norm(gradient, axis=0)
    return gradient / np.maximum(length, 1e-6), length


def _lit(rgb: NDArray[np.float32], normal: NDArray[np.float32], ambient: float) -> NDArray[np.float32]:
    """Lambert shading of a colour."""
    light = _LIGHT / np.linalg.norm(_LIGHT)
    towards = np.clip(sum(light[axis] * normal[axis] for axis in range(3)), 0.0, 1.0)  # no BLAS: the same anywhere
    shaded: NDArray[np.float32] = rgb * (ambient + (1.15 - ambient) * towards)[..., None]
    return np.minimum(shaded, 255.0)
