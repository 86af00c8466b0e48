"""Where a lung is dense: its vessels, and its consolidations, in the lung's own box.

Vessels branch within a lobe and stop short of its fissures, so they tell where fissures are not
(Kuhnigk et al., RadioGraphics 2005; van Rikxoort et al., IEEE TMI 2010).
"""

from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.imaging.boxes import label_bounds
from service.imaging.lungs import Lungs, Side

Mask = NDArray[np.bool_]

CONTRAST_HU = 200.0
"""A vessel is denser by at least this than the lung around it: fissures and ground glass are not."""

LEAST_HU = -700.0
"""And at least as dense as this, however thin the lung around it."""

GRAIN_MM = 1.5
"""Finer voxels are averaged to about this size, so that noise makes no vessels."""

_SURROUNDINGS_MM = 30.0
_BODY_HU = -300.0
"""Denser counts as this dense in the mean of the surroundings, so that one big vessel does not hide small ones."""

_THICK_MM = 6.0
"""Half the width of what is no vessel any more but consolidation or tumour."""

_RIM = ndimage.generate_binary_structure(2, 1)[None]


@dataclass(frozen=True, slots=True, eq=False)
class Grains:
    """One lung's bounding box on the source grid, in voxels of about `GRAIN_MM`; axes as the source.

    hu: mean. affine: indices to LPS mm.
    """

    hu: NDArray[np.float32]
    lung: Mask
    dense: Mask
    affine: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """Masks of one lung in its box, axes as the box. Consolidation may hide vessels and fissures."""

    vessels: Mask
    consolidation: Mask
    grains: Grains


def find_density(volume: hd.Volume, lungs: Lungs, side: Side, box: hd.Volume) -> Density:
    """volume: HU on the source grid, axes (slice, row, column). box: of the lung on that side (`lobes.lung_boxes`).

    A voxel of the box that holds any dense voxel is dense.
    """
    where = label_bounds(lungs.on_source, side)
    block = [max(1, round(GRAIN_MM / mm)) for mm in volume.spacing]
    lung = _blocks(lungs.on_source[where] == side, block) > 0.5
    hu = _blocks(volume.array[where], block)
    dense = lung & _dense(hu, lung, np.multiply(volume.spacing, block))
    to_voxels = _scaling(block, np.array([s.start for s in where]) + (np.array(block) - 1) / 2)
    to_box = np.linalg.inv(box.affine) @ volume.affine @ to_voxels
    consolidation = _consolidation(_counted(dense, to_box, box), _counted(lung, to_box, box), box.spacing)
    vessels = _counted(dense & ndimage.binary_erosion(lung, _RIM), to_box, box) > 0
    grains = Grains(hu, lung, dense, volume.affine @ to_voxels)
    return Density(vessels & ~consolidation, consolidation, grains)


def _consolidation(dense: NDArray[np.int64], lung: NDArray[np.int64], spacing_mm: tuple[float, ...]) -> Mask:
    """What is dense and thick, from counts per voxel of the box; smoothed, as a small lung's box is finer than the
    blocks and some of its voxels hold none."""
    inside, whole = (ndimage.gaussian_filter(count.astype(float), 1.0) for count in (dense, lung))
    core = ndimage.distance_transform_edt(inside > 0.5 * np.maximum(whole, 0.1), sampling=spacing_mm) > _THICK_MM
    if not core.any():
        return np.asarray(core)
    return np.asarray(ndimage.distance_transform_edt(~core, sampling=spacing_mm) <= _THICK_MM)


def _blocks(array: NDArray[Any], block: list[int]) -> NDArray[np.float32]:
    """Means of whole blocks of voxels."""
    whole = array[tuple(slice(n // k * k) for n, k in zip(array.shape, block, strict=True))]
    slabs, rows, columns = (n // k for n, k in zip(whole.shape, block, strict=True))
    means = np.empty((slabs, rows, columns), np.float32)
    for number in range(slabs):
        slab = whole[number * block[0] : (number + 1) * block[0]].sum(0, dtype=np.float32)
        split = slab.reshape(rows, block[1], columns, block[2])
        means[number] = split.sum((1, 3)) / np.float32(np.prod(block))
    return means


def _scaling(factor: list[int], offset: NDArray[np.float64]) -> NDArray[np.float64]:
    """Indices of blocks as indices of voxels."""
    affine = np.diag([*map(float, factor), 1.0])
    affine[:3, 3] = offset
    return affine


def _dense(hu: NDArray[np.float32], lung: Mask, spacing_mm: NDArray[np.float64]) -> Mask:
    """Denser than the lung around by `CONTRAST_HU`."""
    size = [max(1, round(_SURROUNDINGS_MM / mm)) for mm in spacing_mm]
    weight = ndimage.uniform_filter(lung.astype(np.float32), size)
    total = ndimage.uniform_filter(np.where(lung, np.minimum(hu, _BODY_HU), np.float32(0.0)), size)
    around = total / np.maximum(weight, 1e-3)
    dense: Mask = hu > np.maximum(around + CONTRAST_HU, LEAST_HU)
    return dense


def _counted(mask: Mask, to_box: NDArray[np.float64], box: hd.Volume) -> NDArray[np.int64]:
    """How many voxels of `mask` lie in each voxel of `box`."""
    index = np.rint(np.argwhere(mask) @ to_box[:3, :3].T + to_box[:3, 3]).astype(np.int64)
    index = index[((index >= 0) & (index < box.spatial_shape)).all(1)]
    flat = np.ravel_multi_index(tuple(index.T), box.spatial_shape)
    return np.bincount(flat, minlength=box.array.size).reshape(box.spatial_shape)
