"""From the network's opacity probability to the opacities inside the lungs, on the source grid."""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.imaging.harmonise import resample_like
from service.imaging.lungs import HALF
from service.imaging.partial_volume import partial_volume

MIN_COMPONENT_ML = 0.05
"""Smaller connected opacities are noise: a ball of 4.6 mm diameter."""


def find_opacities(probability: hd.Volume, lungs_on_model: hd.Volume, source: hd.Volume) -> NDArray[np.bool_]:
    """Opacities without partial volume and specks, axes (slice, row, column) of `source`.

    probability, lungs_on_model: UINT8 probability and lung labels on the model grid. The result may reach a voxel
    beyond the lungs' surface; the caller cuts it with the lungs of the source grid.
    """
    lungs = lungs_on_model.array > 0
    taken = (probability.array >= HALF) & lungs
    inside = taken & ~partial_volume(taken, lungs, probability.spacing[0])
    pieces, _ = ndimage.label(inside, ndimage.generate_binary_structure(3, 3))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    keep = sizes * float(probability.voxel_volume) / 1000.0 >= MIN_COMPONENT_ML
    soft = np.where(taken & ~keep[pieces], HALF - 1, probability.array).astype(np.uint8)
    found: NDArray[np.bool_] = resample_like(probability.with_array(soft), source) >= HALF
    return found
