"""From the network's opacity probability to the opacities inside the lungs, on the source grid."""

from enum import IntEnum

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.imaging.boxes import Box, bounds, clipped
from service.imaging.harmonise import reach, resample_like
from service.imaging.lungs import HALF
from service.pipelines.shared.partial_volume import partial_volume


class Opacity(IntEnum):
    """Label values of the opacity mask. 0 is no opacity."""

    GROUND_GLASS = 1
    HIGH_OPACITY = 2


Mask = NDArray[np.bool_]

MIN_COMPONENT_ML = 0.05
"""Smaller connected opacities are noise: a ball of 4.6 mm diameter."""


def opacities_on_model(probability: hd.Volume, lungs: Mask) -> Mask:
    """Opacities without partial volume and specks, axes (slice, row, column) of the model grid.

    probability: UINT8, on the model grid. lungs: on the same; not empty.
    """
    where = _around(lungs)
    near, inside = probability[where], lungs[where]
    taken = (near.array >= HALF) & inside
    taken &= ~partial_volume(taken, inside, near.spacing[0])
    pieces, _ = ndimage.label(taken, ndimage.generate_binary_structure(3, 3))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    found = np.zeros(lungs.shape, np.bool_)
    found[where] = (sizes * float(near.voxel_volume) / 1000.0 >= MIN_COMPONENT_ML)[pieces]
    return found


def onto_source(found: Mask, probability: hd.Volume, lungs: Mask, source: hd.Volume) -> Mask:
    """What `opacities_on_model` found, axes (slice, row, column) of `source`; its surface by interpolation.

    It may reach a voxel beyond the lungs' surface; the caller cuts it with the lungs of the source grid.
    """
    there = np.zeros(source.spatial_shape, np.bool_)
    if found.any():
        where = _around(lungs)
        near = probability[where]
        left_out = (near.array >= HALF) & lungs[where] & ~found[where]
        soft = near.with_array(np.where(left_out, np.uint8(HALF - 1), near.array))
        box = reach(probability[bounds(found, (0, 0, 0))], source)
        there[box] = resample_like(soft, source[box]) >= HALF
    return there


def find_opacities(probability: hd.Volume, lungs: Mask, source: hd.Volume) -> Mask:
    """What `opacities_on_model` finds, moved by `onto_source`."""
    return onto_source(opacities_on_model(probability, lungs), probability, lungs, source)


def _around(lungs: Mask) -> Box:
    """The lungs' box, and a voxel to each side."""
    return clipped(bounds(lungs, (1, 1, 1)), lungs.shape)
