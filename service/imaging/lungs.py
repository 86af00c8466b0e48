"""From the network's lung probability to two clean lungs on the source grid, or a refusal.

Right and left are told apart by the patient's LPS frame (the model grid's last axis runs to the patient's left),
never by the side of an array the sender happened to use.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.flags import GAS_LEFT_OUT, Flag
from service.domain.ports import Step, no_step
from service.errors import Reason, Refusal, Rejected
from service.imaging.airways import airways
from service.imaging.bowel_gas import bowel_gas
from service.imaging.boxes import bounds, clipped
from service.imaging.harmonise import reach, resample_like
from service.imaging.lung_edges import check_edges, check_left_out, imaged
from service.imaging.side import Side

__all__ = ["Lungs", "Side", "find_lungs"]

Labels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

HALF = 128
"""Least UINT8 probability that counts as inside."""

MIN_LUNG_ML = 200.0
MIN_LUNG_PART = 0.1
"""Each lung's least volume, absolute and as part of both."""

LUNGS_ML = (1000.0, 10000.0)
"""Plausible volume of both lungs of an adult."""

AIR_BELOW_HU = -950.0
"""Denser than air around the body is, thinner than lung, which may reach the edge of a narrow field of view."""

_OFF_MIDDLE_MM = 20.0
"""Each core's centre lies at least this far on its side of the body's middle."""

_AROUND = (1, 2, 2)
"""Voxels around a box so that what lies in it ends in it."""

_NO_ORGANS = Refusal(Reason.NO_LUNG, "The network found no two air-filled organs side by side.")

_WALL = np.zeros((3, 3, 3), np.bool_)
_WALL[1] = ndimage.generate_binary_structure(2, 1)
"""An airway's wall: one pixel around its air."""

_GAS_TOLD_ML = 5.0
"""Gas below the diaphragm of which a reader is told."""

_COARSE = 2
_EROSIONS_MM = (0.0, 3.0, 6.0, 9.0, 12.0, 16.0, 20.0)


@dataclass(frozen=True, slots=True, eq=False)
class Lungs:
    """Both lungs.

    on_model: uint8 labels (`Side`) on the model grid. on_source: the same on the source grid, (slice, row, column).
    """

    on_model: hd.Volume
    on_source: Labels
    flags: tuple[Flag, ...]


def find_lungs(hu: hd.Volume, probability: hd.Volume, source: hd.Volume, step: Step = no_step) -> Lungs:
    """Clean, split and check the lungs. step: called between the parts.

    hu, probability: HU and UINT8 probability (255 = certain) on the model grid, axes (slice to F, row to P, column
    to L), centred on the body. source: the CT's volume, HU.
    Rejected with NO_LUNG, TRUNCATED or LUNG_LOST.
    """
    shown = imaged(source, probability)
    found, outside = (probability.array >= HALF) & shown, _outside_body(hu.array)
    step()
    found &= ~ndimage.binary_dilation(airways(hu, found), _WALL)
    gas = bowel_gas(hu, found, outside)
    found &= ~gas
    step()
    sides = _split(found & ~outside, np.array(probability.spacing))
    step()
    on_source = _onto_source(probability, sides, source)
    step()
    edges = check_edges(probability.with_array(sides), shown)
    step()
    left_out = check_left_out(hu, found, sides, outside)
    step()
    volume = tuple(_check_volume(on_source, float(source.voxel_volume) / 1000.0))
    refusals = (*volume, *edges.refusals, *left_out.refusals)
    if refusals:
        raise Rejected(*refusals)
    gas_ml = np.count_nonzero(gas & (sides == 0)) * float(probability.voxel_volume) / 1000.0
    gas_told = (GAS_LEFT_OUT.because(f"{gas_ml:.0f} mL."),) if gas_ml >= _GAS_TOLD_ML else ()
    return Lungs(probability.with_array(sides), on_source, (*edges.flags, *left_out.flags, *gas_told))


def _outside_body(hu: NDArray[np.int16]) -> Mask:
    """Air that reaches the slice's border."""
    air: Mask = hu < AIR_BELOW_HU
    return air & ~_enclosed(air)


def _split(inside: Mask, spacing_mm: NDArray[np.float64]) -> Labels:
    """Labels of both lungs: two cores, the mask connected with them parted between them, holes filled."""
    if not inside.any():
        raise Rejected(_NO_ORGANS)
    labels = np.zeros(inside.shape, np.uint8)
    box = clipped(bounds(inside, _AROUND), inside.shape)
    labels[box] = _split_in_box(inside[box], spacing_mm, (inside.shape[2] - 1) / 2 - box[2].start)
    return labels


def _split_in_box(inside: Mask, spacing_mm: NDArray[np.float64], middle: float) -> Labels:
    """middle: of the body, on the last axis of the box."""
    coarse = inside[:, ::_COARSE, ::_COARSE]
    coarse_mm = spacing_mm * (1, _COARSE, _COARSE)
    cores = _cores(coarse, coarse_mm, middle / _COARSE)
    pieces, _ = ndimage.label(coarse)
    connected = np.isin(pieces, np.unique(pieces[cores > 0]))
    nearest = ndimage.distance_transform_edt(
        cores == 0, sampling=coarse_mm, return_distances=False, return_indices=True
    )
    territory: Labels = cores[tuple(nearest)]
    territory[~ndimage.binary_dilation(connected, np.ones((3, 3, 3)))] = 0
    fine = territory.repeat(_COARSE, 1).repeat(_COARSE, 2)[:, : inside.shape[1], : inside.shape[2]]
    fine[~inside] = 0
    for side in Side:
        fine[_enclosed(fine != side) & (fine == 0)] = side
    return fine


def _cores(mask: Mask, spacing_mm: NDArray[np.float64], middle: float) -> Labels:
    """One core per lung: the two largest pieces, after as little erosion as parts them; Rejected if none does.

    The lungs may touch at the anterior junction, or be joined by airways. middle: of the body, on the last axis.
    """
    depth = ndimage.distance_transform_edt(mask, sampling=spacing_mm)
    for erosion_mm in _EROSIONS_MM:
        pieces, count = ndimage.label(depth > erosion_mm)
        if count < 2:
            continue
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        largest = np.argsort(-sizes, kind="stable")[:2]
        columns = [centre[2] for centre in ndimage.center_of_mass(pieces > 0, pieces, largest)]
        (right, to_right), (left, to_left) = sorted(zip(largest, columns, strict=True), key=lambda core: core[1])
        off_middle_mm = min(middle - to_right, to_left - middle) * spacing_mm[2]
        if sizes[largest[1]] < MIN_LUNG_PART * sizes.sum() or off_middle_mm < _OFF_MIDDLE_MM:
            continue
        cores = np.zeros(mask.shape, np.uint8)
        cores[pieces == right] = Side.RIGHT
        cores[pieces == left] = Side.LEFT
        return cores
    raise Rejected(_NO_ORGANS)


def _enclosed(mask: Mask) -> Mask:
    """The parts of `mask` that do not reach the border of their slice."""
    in_plane = np.zeros((3, 3, 3), np.bool_)
    in_plane[1] = ndimage.generate_binary_structure(2, 1)
    pieces, count = ndimage.label(mask, in_plane)
    closed = np.ones(count + 1, np.bool_)
    for edge in (pieces[:, 0], pieces[:, -1], pieces[:, :, 0], pieces[:, :, -1]):
        closed[edge] = False
    closed[0] = False  # not in the mask
    enclosed: Mask = closed[pieces]
    return enclosed


def _onto_source(probability: hd.Volume, sides: Labels, source: hd.Volume) -> Labels:
    """Labels on the source grid; each lung's surface is interpolated between voxels of the model grid."""
    labels = np.zeros(source.spatial_shape, np.uint8)
    where = reach(probability[bounds(sides > 0, (0, 0, 0))], source)
    part, found = source[where], labels[where]
    best = np.full(part.spatial_shape, HALF - 1, np.uint8)
    for side in Side:
        lung = sides == side
        there = reach(probability[bounds(lung, (0, 0, 0))], part)
        soft = np.where(sides == 0, np.minimum(probability.array, HALF - 1), 0).astype(np.uint8)
        np.copyto(soft, np.maximum(probability.array, HALF), where=lung)
        moved = resample_like(probability.with_array(soft), part[there])
        found[there][moved > best[there]] = side
        np.maximum(best[there], moved, out=best[there])
    return labels


def _check_volume(labels: Labels, voxel_ml: float) -> Iterator[Refusal]:
    right_ml, left_ml = (sum(np.count_nonzero(plane == side) for plane in labels) * voxel_ml for side in Side)
    total_ml = right_ml + left_ml
    found = f"Right {right_ml:.0f} mL, left {left_ml:.0f} mL."
    if min(right_ml, left_ml) < max(MIN_LUNG_ML, MIN_LUNG_PART * total_ml):
        yield Refusal(Reason.NO_LUNG, found)
    elif not LUNGS_ML[0] <= total_ml <= LUNGS_ML[1]:
        limits = f"plausible are {LUNGS_ML[0] / 1000:.0f}-{LUNGS_ML[1] / 1000:.0f} L together."
        yield Refusal(Reason.NO_LUNG, f"{found} {limits}")
