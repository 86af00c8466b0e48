"""Dense lung that a network left out: masses and collapse, found again by the shape of the lungs.

Attenuation cannot tell a mass at the hilum from the mediastinum it lies beside. A model that has seen the shape of
whole lungs says what belongs to a lung; of that, only thick dense tissue is taken, so that the border of a lung that
was found well stays where the CT shows it.
"""

from collections.abc import Mapping
from dataclasses import replace

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.flags import LUNG_ADDED
from service.errors import Rejected
from service.imaging.boxes import bounds, clipped
from service.imaging.harmonise import reach, resample_like
from service.imaging.lung_edges import check_edges, imaged
from service.imaging.lungs import HALF, Lungs
from service.imaging.side import Side

_THICK_MM = 4.0
"""About half the least thickness of what is added, in whole voxels: the shape is known to some millimetres only."""

_LEAST_ML = 5.0
"""A nodule is inside the lungs or at its wall: what is smaller is more often an edge of the mediastinum."""

_LEAST_CONTACT = 0.25
"""Part of the surface that touches the lung of its side."""

_DENSE_HU = (-50.0, 150.0)
"""Smoothed: soft tissue, neither fat of the chest wall nor bone."""

_AIR_BELOW_HU = -500.0
"""Smoothed: airways and gas were left out on purpose."""

_SMOOTHED_MM = 3.0

_AROUND = (1, 2, 2)
"""Voxels around the box in which a model sees a lung: nothing is added beyond."""

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def missing_lung(hu: hd.Volume, lungs: Labels, shape: Mapping[Side, hd.Volume]) -> Labels:
    """Labels (`Side`) of what the lungs lack, on the grid of `hu`, axes (slice to F, row to P, column to L).

    lungs: labels found so far. shape: of each lung the UINT8 probability of lung, 128 = as likely as not, on any grid.
    What both shapes claim goes to the lung to which it more probably belongs.
    """
    probability = {side: resample_like(shape[side], hu) for side in Side}
    found = np.zeros_like(lungs)
    for side, other in ((Side.RIGHT, Side.LEFT), (Side.LEFT, Side.RIGHT)):
        where = clipped(bounds(lungs == side, _AROUND), lungs.shape)
        here, own = hu[where], probability[side][where]
        smooth = ndimage.uniform_filter(here.array, [_odd(_SMOOTHED_MM / 2, mm) for mm in here.spacing], np.float32)
        free = (lungs[where] == 0) & (found[where] == 0) & (smooth > _AIR_BELOW_HU)
        lacking = free & (own >= HALF) & (own >= probability[other][where])
        dense = (smooth > _DENSE_HU[0]) & (smooth < _DENSE_HU[1])
        found[where][_believed(lacking, dense, lungs[where] == side, here)] = side
    return found


def completed(lungs: Lungs, added: Labels, source: hd.Volume) -> Lungs:
    """The lungs with what they lacked (`missing_lung`), told by `LUNG_ADDED`; Rejected with TRUNCATED if cut off now.

    added: labels (`Side`) on the grid of `lungs.on_model`, 0 where that has lung. source: the CT's volume, HU.
    Between a lung and what is added to it nothing is left out: on the source both are one surface.
    """
    whole = lungs.on_model.with_array(np.where(added > 0, added, lungs.on_model.array))
    on_source = lungs.on_source.copy()
    for side in Side:
        if not (added == side).any():
            continue
        box = clipped(bounds(added == side, _AROUND), added.shape)
        there = reach(whole[box], source)
        both, new = (
            resample_like(whole[box].with_array(m[box] * np.uint8(255)), source[there])
            for m in (whole.array == side, added == side)
        )
        part = on_source[there]
        part[(both >= HALF) & (new > 0) & (part == 0)] = side
    edges = check_edges(whole, imaged(source, whole))
    if edges.refusals:
        raise Rejected(*edges.refusals)
    added_ml = np.count_nonzero(added) * float(whole.voxel_volume) / 1000.0
    known = {flag.code for flag in lungs.flags}
    told = [flag for flag in edges.flags if flag.code not in known]
    flags = (*lungs.flags, *told, LUNG_ADDED.because(f"{added_ml:.0f} mL."))
    return replace(lungs, on_model=whole, on_source=on_source, flags=flags)


def _believed(lacking: Mask, dense: Mask, lung: Mask, hu: hd.Volume) -> Mask:
    """The pieces of `lacking` that are thick where they are dense, large, and lie at the lung."""
    thickness, around = ([_odd(of_mm, mm) for mm in hu.spacing] for of_mm in (_THICK_MM, _THICK_MM + _SMOOTHED_MM))
    core = ndimage.minimum_filter((lacking & dense).view(np.uint8), thickness, mode="constant")
    thick = lacking & (ndimage.maximum_filter(core, around) > 0)
    pieces, count = ndimage.label(thick)
    numbers = np.arange(1, count + 1)
    surface = thick & ~ndimage.binary_erosion(thick)
    of_surface = ndimage.sum_labels(surface, pieces, numbers)
    touching = ndimage.sum_labels(surface & ndimage.binary_dilation(lung), pieces, numbers)
    large = ndimage.sum_labels(thick, pieces, numbers) * float(hu.voxel_volume) / 1000.0 >= _LEAST_ML
    kept: Mask = np.isin(pieces, numbers[large & (touching >= _LEAST_CONTACT * of_surface)])
    return kept


def _odd(reach_mm: float, spacing_mm: float) -> int:
    """Voxels from `reach_mm` on one side to as much on the other, whole ones."""
    return 2 * round(reach_mm / spacing_mm) + 1
