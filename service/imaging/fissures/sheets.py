"""Pull surfaces onto fissures that can be seen: bright lines of a few mm, darker on both sides.

A fissure is thinner than a slice: in a single cut it drowns in noise. So the CT is laid flat along a surface that is
already near, vessels left out, and averaged along it; a sheet stays, noise does not. (Three parallel plates as in Zhao
et al., Signal Processing 2020; flattening takes the place of their many directions.) Then a surface nearby is sought
that lies on the sheet. One that finds little stays exactly where it was, as in thick slices.
"""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.imaging.fissures.surface_fit import Family, Floats, modes, search
from service.imaging.fissures.vessels import Grains

MIN_SHEET = 0.25
"""Least part of `CLEAR_HU`, mean over the columns, for which a surface is moved: 71 of 72 surfaces laid where no
fissure is find less (docs/decisions/0068)."""

CLEAR_HU = 20.0
"""A sheet this much brighter than both sides is clear; more tells no more. In a single cut fissures are 50 to 150 HU
brighter than lung; averaged along a surface that is not yet quite parallel, less is left."""

REACH_MM = 20.0
"""As far up and down a surface looks."""

DEVIATION_MM = 8.0
"""By this much a height may be off, standard deviation: 4.5 mm from drawn fissures on average (models/lobes/CARD.md),
which rise by about 45 degrees."""

_CORRELATION, _MODES = 0.15, 50
"""Over this part of the box a fissure bends; shapes."""

_SIDE_MM = 4
"""The darker sides lie this far up and down: beyond a fissure's image, short of what is around."""

_ALONG_MM, _ACROSS_MM = 5.0, 0.7
"""Averaged along the surface and across it, standard deviation."""

_ROUNDS_MM = (3.0, 1.0)
"""Seen this blurred, up and down: a first look from afar, a second where that led."""

_MIN_SEEN = 0.3
"""Least part of a neighbourhood that must be lung without vessels."""

_JUNCTION_MM = 5.0
"""The horizontal fissure is not sought nearer to the oblique one, which is the brighter."""


def pull_to_sheets(heights: Floats, box: hd.Volume, grains: Grains) -> Floats:
    """heights: of the lung's fissures, axes (fissure, row, column), in voxels of `box` (`surfaces.Family`)."""
    clear = ndimage.binary_erosion(grains.lung & ~grains.dense)
    pulled: list[Floats] = []
    for height in heights:
        floor = pulled[0] - _JUNCTION_MM / box.spacing[0] if pulled else np.full_like(height, np.inf)
        pulled.append(_pulled(height, floor, box, grains, clear))
    return np.stack(pulled)


def _pulled(height: Floats, floor: Floats, box: hd.Volume, grains: Grains, clear: NDArray[np.bool_]) -> Floats:
    bends = DEVIATION_MM * modes(len(height), _CORRELATION, _MODES)[None]
    middle = np.full((1, *height.shape), REACH_MM)
    now = height
    for blur_mm in _ROUNDS_MM:
        sheet = ndimage.gaussian_filter1d(_sheet(now, floor, box, grains, clear), blur_mm, axis=0)
        found, reached = search(Family(middle, bends), sheet)
        now = now + (found[0] - REACH_MM) / box.spacing[0]
    return now if reached >= MIN_SHEET else height


def _sheet(height: Floats, floor: Floats, box: hd.Volume, grains: Grains, clear: NDArray[np.bool_]) -> Floats:
    """How clear a sheet is, 0 to 1; axes (mm from `REACH_MM` above the surface to as much below, row, column)."""
    away_mm = np.arange(-REACH_MM - _SIDE_MM, REACH_MM + _SIDE_MM + 1.0)[:, None, None]
    index = np.stack(np.broadcast_arrays(height + away_mm / box.spacing[0], *np.indices(height.shape)))
    to_grains = np.linalg.inv(grains.affine) @ box.affine
    at = np.tensordot(to_grains[:3, :3], index, 1) + to_grains[:3, 3][:, None, None, None]
    sigma = [_ACROSS_MM, *(_ALONG_MM / mm for mm in box.spacing[1:])]
    weight, total = (
        ndimage.gaussian_filter(np.where(index[0] < floor, ndimage.map_coordinates(of, at, order=1), 0.0), sigma)
        for of in (clear.astype(np.float32), np.where(clear, grains.hu, np.float32(0.0)))
    )
    hu = np.where(weight > _MIN_SEEN, total / np.maximum(weight, _MIN_SEEN), np.nan)
    above, here, below = hu[: -2 * _SIDE_MM], hu[_SIDE_MM:-_SIDE_MM], hu[2 * _SIDE_MM :]
    return np.nan_to_num(np.clip((here - np.maximum(above, below)) / CLEAR_HU, 0.0, 1.0))
