"""Gas of stomach and bowel below the diaphragm, which a network may take for lung.

It is thinner than lung, lies in the lower part of what was found, and has soft tissue around it: the wall of the bowel.
A bulla of the same size has lung around it.
"""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]

GAS_HU = -950.0
"""Below it, after smoothing, is gas."""

_SMOOTHING_MM = 1.5

LEAST_ML = 2.0

MOST_ML = 60.0
"""More is no bowel that a network mistook, but lung as thin as air, or air beside it: none of it is taken away."""

_LOWER = 0.7
"""Only below this part of the lungs' height, from the apex."""

_WALL_HU = -500.0
_WALLED = 0.4
"""So much of what is around bowel gas is at least this dense."""

_AROUND = np.zeros((3, 3, 3), np.bool_)
_AROUND[1] = ndimage.generate_binary_structure(2, 1)


def bowel_gas(hu: hd.Volume, lungs: Mask, outside: Mask) -> Mask:
    """What of `lungs` is bowel gas, its partial volume included; axes (slice to F, row to P, column to L) of `hu`.

    outside: air around the body.
    """
    found = np.zeros(lungs.shape, np.bool_)
    slices = np.flatnonzero(lungs.any((1, 2)))
    if not slices.size:
        return found
    sigma = _SMOOTHING_MM / float(hu.spacing[1])
    gas = (ndimage.gaussian_filter(hu.array.astype(np.float32), (0.0, sigma, sigma)) < GAS_HU) & ~outside
    gas[: int(slices[0] + _LOWER * (slices[-1] - slices[0]))] = False
    pieces, _ = ndimage.label(gas)
    voxel_ml = float(hu.voxel_volume) / 1000.0
    large = np.bincount(pieces.ravel()) * voxel_ml >= LEAST_ML
    for label, box in enumerate(ndimage.find_objects(pieces), 1):
        near = tuple(slice(max(0, part.start - 4), part.stop + 4) for part in box)
        if not large[label] or not lungs[near].any():
            continue
        edge = ndimage.binary_dilation(pieces[near] == label, _AROUND, 2)
        ring = ndimage.binary_dilation(edge, _AROUND, 2) & ~edge & ~gas[near]
        if (edge & lungs[near]).any() and ring.any() and (hu.array[near][ring] >= _WALL_HU).mean() >= _WALLED:
            found[near] |= edge & lungs[near]
    return found if np.count_nonzero(found) * voxel_ml <= MOST_ML else np.zeros_like(found)
