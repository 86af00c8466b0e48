"""From the network's opacity probability to the opacities inside the lungs, on the source grid."""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.imaging.harmonise import resample_like
from service.imaging.lungs import HALF

MIN_COMPONENT_ML = 0.05
"""Smaller connected opacities are noise: a ball of 4.6 mm diameter."""


def find_opacities(probability: hd.Volume, lungs_on_model: hd.Volume, source: hd.Volume) -> NDArray[np.bool_]:
    """Opacities without specks, axes (slice, row, column) of `source`.

    probability, lungs_on_model: UINT8 probability and lung labels on the model grid. The result may reach a voxel
    beyond the lungs' surface; the caller cuts it with the lungs of the source grid.
    """
    inside = (probability.array >= HALF) & (lungs_on_model.array > 0)
    pieces, _ = ndimage.label(inside, ndimage.generate_binary_structure(3, 3))
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    keep = sizes * float(probability.voxel_volume) / 1000.0 >= MIN_COMPONENT_ML
    speck = inside & ~keep[pieces]
    soft = np.where(speck, HALF - 1, probability.array).astype(np.uint8)
    found: NDArray[np.bool_] = resample_like(probability.with_array(soft), source) >= HALF
    return found
