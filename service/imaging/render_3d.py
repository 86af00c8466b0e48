"""A 3D picture of the lungs and what is marked in them, by compositing planes from front to back, in plain arrays.

The lungs are glass: nearly clear where their surface faces the viewer, denser towards the silhouette. Marked labels
are shaded solids inside. Seen from the front, on white.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from service.domain.analysis import LabelArray
from service.domain.report import Picture
from service.imaging.boxes import Box, bounds, clipped
from service.imaging.render import Mark, lung_box

Plane = NDArray[np.float32]

GRID_MM = 1.4
ENLARGE = 2
_MARGIN_MM = 6.0
_ROOM = 3
"""Voxels of the rendering grid around the lungs."""

_TRUNCATED = 4.0
"""Standard deviations after which a Gaussian is cut off."""

_STEEP_AROUND = 1
"""Voxels around a density in which its gradient is not zero."""

_CLEAR_BELOW = 0.25
"""Density of what is marked below which it covers nothing."""

_LUNG_RGB = np.array([88.0, 112.0, 140.0], np.float32)
_LIGHT = np.array([-0.55, -0.72, -0.42], np.float32)
"""Towards the light, in view axes (down, back, left): above, in front, from the image's left."""


@dataclass(frozen=True, slots=True, eq=False)
class _Layer:
    """Part of one plane across the line of sight: colour (row, column, 3) in 0-255 and coverage (row, column) in 0-1.

    where: rows and columns of the plane. Beyond them nothing is covered.
    """

    where: Box
    rgb: NDArray[np.float32]
    alpha: Plane


def picture_3d(
    lungs: LabelArray, marked: LabelArray, spacing_mm: tuple[float, float, float], marks: Sequence[Mark]
) -> Picture:
    """Lungs with what is marked. Both arrays have view axes (down, back, left); spacing_mm: along them."""
    box = lung_box(lungs, tuple(int(np.ceil(_MARGIN_MM / s)) for s in spacing_mm))
    inside, labels = (_on_grid(one[box], spacing_mm) for one in (lungs, marked))
    glass = _density(inside > 0, spacing_mm, sigma=1.2)
    solid = _density(labels > 0, spacing_mm, sigma=0.7)
    others = [(mark, _density(labels == mark.label, spacing_mm, sigma=0.7)) for mark in marks[1:]]
    rgb = np.zeros((glass.shape[0], glass.shape[2], 3), np.float32)
    clear = np.ones(rgb.shape[:2], np.float32)
    for back in range(1, glass.shape[1] - 1):
        for layer in _layers(glass, solid, marks, others, back):
            rgb[layer.where] += (clear[layer.where] * layer.alpha)[..., None] * layer.rgb
            clear[layer.where] *= 1.0 - layer.alpha
    rgb += clear[..., None] * 255.0
    large = ndimage.zoom(rgb, (ENLARGE, ENLARGE, 1), order=1, mode="nearest", grid_mode=True)
    return Picture(np.clip(np.round(large), 0, 255).astype(np.uint8), GRID_MM / ENLARGE)


def _on_grid(labels: LabelArray, spacing_mm: tuple[float, ...]) -> LabelArray:
    """The nearest labels on the rendering grid, and some room around."""
    factors = [s / GRID_MM for s in spacing_mm]
    nearest = [(np.arange(int(n * f)) / f).astype(int) for n, f in zip(labels.shape, factors, strict=True)]
    return np.pad(labels[np.ix_(*nearest)], _ROOM)


def _density(mask: NDArray[np.bool_], spacing_mm: tuple[float, ...], sigma: float) -> NDArray[np.float32]:
    """The mask, smoothed so that its gradient is a surface normal."""
    density = np.zeros(mask.shape, np.float32)
    if mask.any():
        smooth = [max(sigma, 0.8 * s / GRID_MM) for s in spacing_mm]  # coarse voxels must not show as stairs
        reach = [int(_TRUNCATED * s + 0.5) for s in smooth]
        where = clipped(bounds(mask, (reach[0], reach[1], reach[2])), mask.shape)
        ndimage.gaussian_filter(mask[where].astype(np.float32), smooth, output=density[where], truncate=_TRUNCATED)
    return density


Others = Sequence[tuple[Mark, NDArray[np.float32]]]
"""Marks after the first, each with its density."""


def _layers(
    lungs: NDArray[np.float32], solid: NDArray[np.float32], marks: Sequence[Mark], others: Others, back: int
) -> Iterator[_Layer]:
    near = lungs[:, back - 1 : back + 2]
    if lungs[:, back].any():
        yield _glass(near, _around(near.any(1), _STEEP_AROUND))
    covered = solid[:, back] > _CLEAR_BELOW
    if marks and covered.any():
        where = _around(covered, 0)
        shares = [(mark, density[where[0], back, where[1]]) for mark, density in others]
        yield _solid(solid[:, back - 1 : back + 2], where, marks[0], shares)


def _around(mask: ArrayLike, margin: int) -> Box:
    """Rows and columns of what is in the mask, so many more of them, and one where gradients are not taken right."""
    plane = np.asarray(mask)
    return clipped(bounds(plane, (margin + 1, margin + 1)), plane.shape)


def _glass(near: NDArray[np.float32], where: Box) -> _Layer:
    """Lung surface: opaque in proportion to its steepness and to how far it turns away from the viewer.

    near: the plane between its neighbours, axes (row, plane, column).
    """
    normal, steepness = _surface(near, where)
    facing = np.abs(normal[1])
    alpha = np.clip(steepness * (0.05 + 0.80 * (1.0 - facing) ** 2), 0.0, 0.9)
    return _Layer(where, _lit(_LUNG_RGB, normal, ambient=0.75), alpha)


def _solid(near: NDArray[np.float32], where: Box, first: Mark, shares: Others) -> _Layer:
    """Marked voxels: solid, in the first mark's colour but for the local share of the others.

    near: as for `_glass`. shares: density of the others, of that part of the plane.
    """
    normal, _ = _surface(near, where)
    solid = near[where[0], 1, where[1]]
    alpha = np.clip((solid - _CLEAR_BELOW) / 0.35, 0.0, 1.0) * 0.85
    base = np.array(first.rgb, np.float32)
    rgb = base
    for mark, density in shares:
        share = np.clip(density / np.maximum(solid, 1e-3), 0.0, 1.0)[..., None]
        rgb = rgb + share * (mark.shade * np.array(mark.rgb, np.float32) - base)
    return _Layer(where, _lit(rgb, normal, ambient=0.55), alpha)


def _surface(near: NDArray[np.float32], where: Box) -> tuple[NDArray[np.float32], Plane]:
    """Outward unit normal, axes (component, row, column), components in view axes; and the gradient's length."""
    part = near[where[0], :, where[1]]
    down, left = np.gradient(part[:, 1])
    gradient = -np.stack([down, (part[:, 2] - part[:, 0]) / 2, left])
    length = np.linalg.norm(gradient, axis=0)
    return gradient / np.maximum(length, 1e-6), length


def _lit(rgb: NDArray[np.float32], normal: NDArray[np.float32], ambient: float) -> NDArray[np.float32]:
    """Lambert shading of a colour."""
    light = _LIGHT / np.linalg.norm(_LIGHT)
    towards = np.clip(sum(light[axis] * normal[axis] for axis in range(3)), 0.0, 1.0)  # no BLAS: the same anywhere
    shaded: NDArray[np.float32] = rgb * (ambient + (1.15 - ambient) * towards)[..., None]
    return np.minimum(shaded, 255.0)
