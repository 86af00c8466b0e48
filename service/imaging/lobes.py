"""Lobes on the source grid, from a model's probabilities for each lung.

A model sees each lung in its own box (`lung_boxes`), or axial slices (`lobes_in_lungs`).
"""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.domain.ports import Step, no_step
from service.imaging.boxes import bounds, clipped, label_bounds
from service.imaging.harmonise import in_thin, resample_like, to_box
from service.imaging.lungs import HALF, Lungs, Side

LOBES_OF = {Side.RIGHT: RIGHT_LOBES, Side.LEFT: LEFT_LOBES}

_SLAB = 32
"""Slices at a time, so that what is said of each lobe never fills an array as large as the lung."""

_MARGIN = (1, 2, 2)
"""Voxels of the model grid around a lung's bounding box, so that its surface on the source grid lies inside too."""


def lung_boxes(on_model: hd.Volume, size: int) -> dict[Side, hd.Volume]:
    """Each lung, 0-255, in its bounding box stretched to size x size x size; axes (slice to F, row to P, column to L).

    on_model: uint8 labels (`Side`) on the model grid, both present.
    """
    boxes = {}
    for side in Side:
        lung = on_model.with_array(((on_model.array == side) * np.uint8(255)).astype(np.uint8))
        padded = lung.pad([(m, m) for m in _MARGIN])
        boxes[side] = to_box(padded[bounds(padded.array > 0, _MARGIN)], size)
    return boxes


def lobes_in_lungs(
    said: NDArray[np.uint8], on_model: hd.Volume
) -> tuple[dict[Side, NDArray[np.uint8]], dict[Side, hd.Volume]]:
    """What a network said that knows nothing of our lungs, made into an answer for every voxel of each lung.

    said: UINT8 probability, axes (`Lobe`, then as `on_model`), background left out. on_model: uint8 labels (`Side`),
    both present. A voxel where the lung's own lobes are less probable than the rest (a dense consolidation may look
    like none) takes the lobe of the nearest voxel where they are more. A lung without any such voxel says nothing.
    Returns per side the probability, axes (lobe in the order of `LOBES_OF`, slice, row, column), and its grid.
    """
    probability, boxes = {}, {}
    for side, lobes in LOBES_OF.items():
        lung = on_model.array == side
        where = clipped(bounds(lung, _MARGIN), lung.shape)
        boxes[side] = on_model[where]
        own = np.stack([said[lobe - 1][where] for lobe in lobes]).astype(np.uint16)
        total = own.sum(0)
        decided = lung[where] & (total >= HALF)
        probability[side] = np.zeros(own.shape, np.uint8)
        if decided.any():
            nearest = ndimage.distance_transform_edt(
                ~decided, sampling=on_model.spacing, return_distances=False, return_indices=True
            )
            winner = own.argmax(0)[tuple(nearest)]
            for number, of_lobe in enumerate(own):
                part = np.divide(of_lobe, total, out=(winner == number).astype(float), where=decided)
                probability[side][number] = np.rint(255.0 * part)
    return probability, boxes


def lobes_on_source(
    probability: dict[Side, NDArray[np.uint8]],
    boxes: dict[Side, hd.Volume],
    lungs: Lungs,
    source: hd.Volume,
    step: Step = no_step,
) -> NDArray[np.uint8]:
    """Lobe labels (`Lobe`) of exactly the lung voxels, axes (slice, row, column) of `source`.

    probability: per side UINT8, axes (lobe in the order of `LOBES_OF`, then as the box); linear interpolation, then
    the most probable lobe of that lung. Of thin slices (`harmonise.in_thin`) only some are asked, the others have the
    lobes of the nearest. step: called before each part of a lung.
    """
    labels = np.zeros(source.spatial_shape, np.uint8)
    every = in_thin(source)
    for side, lobes in LOBES_OF.items():
        where = label_bounds(lungs.on_source, side)
        part, there, lung = source[where], labels[where], lungs.on_source[where]
        said = [boxes[side].with_array(np.ascontiguousarray(of_lobe)) for of_lobe in probability[side]]
        asked = part[::every]
        nearest = np.minimum((np.arange(len(there)) + every // 2) // every, len(asked.array) - 1)
        for first in range(0, len(asked.array), _SLAB):
            step()
            last = min(first + _SLAB, len(asked.array))
            winner = _most_probable(said, lobes, asked[first:last])
            for number in np.flatnonzero((nearest >= first) & (nearest < last)):
                np.copyto(there[number], winner[nearest[number] - first], where=lung[number] == side)
    return labels


def _most_probable(said: Sequence[hd.Volume], lobes: Sequence[Lobe], grid: hd.Volume) -> NDArray[np.uint8]:
    """The most probable lobe in each voxel of the grid; the first one where nothing is said. said: of each lobe."""
    best, winner = np.zeros(grid.spatial_shape, np.uint8), np.full(grid.spatial_shape, lobes[0], np.uint8)
    for lobe, probability in zip(lobes, said, strict=True):
        moved = resample_like(probability, grid)
        winner[moved > best] = lobe
        np.maximum(best, moved, out=best)
    return winner
