"""From the network's opacity probability to the opacities inside the lungs, on the source grid."""

from enum import IntEnum

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.imaging.boxes import bounds, clipped
from service.imaging.harmonise import reach, resample_like
from service.imaging.lungs import HALF
from service.pipelines.shared.partial_volume import partial_volume


class Opacity(IntEnum):
    """Label values of the opacity mask. 0 is no opacity."""

    GROUND_GLASS = 1
    HIGH_OPACITY = 2


MIN_COMPONENT_ML = 0.05
"""Smaller connected opacities are noise: a ball of 4.6 mm diameter."""


def find_opacities(probability: hd.Volume, lungs_on_model: hd.Volume, source: hd.Volume) -> NDArray[np.bool_]:
    """Opacities without partial volume and specks, axes (slice, row, column) of `source`.

    probability, lungs_on_model: UINT8 probability and lung labels, both present, on the model grid. The result may
    reach a voxel beyond the lungs' surface; the caller cuts it with the lungs of the source grid.
    """
    where = clipped(bounds(lungs_on_model.array > 0, (1, 1, 1)), lungs_on_model.spatial_shape)
    near, lungs = probability[where], lungs_on_model.array[where] > 0
    taken = (near.array >= HALF) & lungs
    inside = taken & ~partial_volume(taken, lungs, near.spacing[0])
    pieces, _ = ndimage.label(inside, ndimage.generate_binary_structure(3, 3))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    keep = (sizes * float(near.voxel_volume) / 1000.0 >= MIN_COMPONENT_ML)[pieces]
    found = np.zeros(source.spatial_shape, np.bool_)
    if keep.any():
        soft = near.with_array(np.where(taken & ~keep, HALF - 1, near.array).astype(np.uint8))
        there = reach(near[bounds(keep, (0, 0, 0))], source)
        found[there] = resample_like(soft, source[there]) >= HALF
    return found
