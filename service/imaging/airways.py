"""Trachea and main bronchi, grown from slice to slice: the lungs end where these begin.

The trachea is found as a round column of air near the middle of the body. Its air is followed towards the feet, past
the carina and into the main bronchi, until each of these lies in a lung, or leaks.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.imaging.boxes import bounds, clipped

Mask = NDArray[np.bool_]

AIR_HU = -900.0
"""Below it, after smoothing, is the air of an airway; lung is denser on average."""

_SMOOTHING_MM = 1.0

_AREA_MM2 = (45.0, 700.0)
"""Least and largest area of the trachea in one slice."""

_LONGEST_TO_SHORTEST, _FILLED = 2.2, 0.5
"""A trachea's bounding box is at most so many times as long as wide, and at least this part of it is air."""

_OFF_MIDDLE_MM = 45.0

_LEAST_MM = 20.0
"""Length, from head to feet, of a column of air that is a trachea."""

_SHIFT_MM = 5.0
"""How far its centre moves from slice to slice, beside the distance of the slices."""

_LEAK = 3.0
"""Both bronchi together are wider than the trachea; what is this many times its area has leaked into a lung."""

MOST_IN_LUNGS_ML = 30.0
"""Air of airways that a network takes for lung; where there would be more, a leak went unnoticed, and none is told."""

_IN_LUNG = 0.7
"""A bronchus with so much lung around it lies in the lung, and belongs to it."""

_RING = 4
"""Pixels around a piece in which lung is looked for."""

_CROSS = ndimage.generate_binary_structure(2, 1)


@dataclass(frozen=True, slots=True, eq=False)
class _Candidate:
    """Air in one slice that may be the trachea; row and column of its centre. above: what it continues."""

    number: int
    mask: Mask
    row: float
    column: float
    area_mm2: float
    above: "_Candidate | None" = None

    @property
    def upwards(self) -> "Iterator[_Candidate]":
        """This one and all above it."""
        one: _Candidate | None = self
        while one is not None:
            yield one
            one = one.above


def airways(hu: hd.Volume, lungs: Mask) -> Mask:
    """Air of trachea and main bronchi, axes (slice to F, row to P, column to L) of `hu`, which is centred on the body.

    lungs: what is taken for lung, airways included or not. Nothing where no trachea is found, or where it leaks.
    """
    slice_mm, pixel_mm, _ = map(float, hu.spacing)
    sigma = _SMOOTHING_MM / pixel_mm
    air = ndimage.gaussian_filter(hu.array.astype(np.float32), (0.0, sigma, sigma)) < AIR_HU
    found = np.zeros(air.shape, np.bool_)
    trachea = max((list(one.upwards) for one in _columns(air, slice_mm, pixel_mm)), key=len, default=[])
    if len(trachea) * slice_mm < _LEAST_MM:
        return found
    most_mm2 = _LEAK * float(np.median([one.area_mm2 for one in trachea]))
    first, region = trachea[-1].number, trachea[-1].mask
    found[first] = region
    drift = int(np.ceil(slice_mm / pixel_mm)) + 1
    for k in range(first + 1, len(air)):
        region = _next(air[k], region, lungs[k], drift)
        if not region.any() or np.count_nonzero(region) * pixel_mm**2 > most_mm2:
            break
        found[k] = region
    taken_ml = np.count_nonzero(found & lungs) * float(hu.voxel_volume) / 1000.0
    return found if taken_ml <= MOST_IN_LUNGS_ML else np.zeros_like(found)


def _columns(air: Mask, slice_mm: float, pixel_mm: float) -> Iterator[_Candidate]:
    """The last of every column of air that may be a trachea, as of each slice that it reaches."""
    before: list[_Candidate] = []
    for number, plane in enumerate(air):
        here = [_continued(one, before, slice_mm, pixel_mm) for one in _round(plane, number, pixel_mm)]
        yield from here
        before = here


def _continued(one: _Candidate, before: Sequence[_Candidate], slice_mm: float, pixel_mm: float) -> _Candidate:
    """The candidate below the nearest of the slice before that it may continue."""
    reach = _SHIFT_MM + slice_mm
    above = [b for b in before if _apart(one, b, pixel_mm) < reach and 0.5 < b.area_mm2 / one.area_mm2 < 2.0]
    return replace(one, above=min(above, key=lambda b: _apart(one, b, pixel_mm), default=None))


def _round(air: Mask, number: int, pixel_mm: float) -> Iterator[_Candidate]:
    """Round pieces of air near the middle of one slice."""
    pieces, _ = ndimage.label(air)
    middle = (air.shape[1] - 1) / 2
    for label, box in enumerate(ndimage.find_objects(pieces), 1):
        piece = pieces[box] == label
        area_mm2 = np.count_nonzero(piece) * pixel_mm**2
        if not _AREA_MM2[0] <= area_mm2 <= _AREA_MM2[1]:
            continue
        if max(piece.shape) > _LONGEST_TO_SHORTEST * min(piece.shape) or piece.mean() < _FILLED:
            continue
        row, column = ndimage.center_of_mass(piece)
        row, column = row + box[0].start, column + box[1].start
        if abs(column - middle) * pixel_mm <= _OFF_MIDDLE_MM:
            yield _Candidate(number, pieces == label, row, column, area_mm2)


def _apart(one: _Candidate, other: _Candidate, pixel_mm: float) -> float:
    return float(np.hypot(one.row - other.row, one.column - other.column)) * pixel_mm


def _next(air: Mask, above: Mask, lungs: Mask, drift: int) -> Mask:
    """What of the air of a slice continues that above it, but for what lies in a lung. drift: pixels to a side."""
    near = clipped(bounds(above, (drift + _RING, drift + _RING)), air.shape)
    here, beside = above[near], ndimage.binary_dilation(above[near], _CROSS, 2)
    pieces, count = ndimage.label(air[near] & ndimage.binary_dilation(here, _CROSS, drift))
    region = np.zeros(air.shape, np.bool_)
    for label in range(1, count + 1):
        piece = pieces == label
        if (piece & beside).any() and _part_in(piece, lungs[near]) <= _IN_LUNG:
            region[near] |= piece
    return region


def _part_in(piece: Mask, lungs: Mask) -> float:
    """How much of what is around a piece, two to four pixels off, is lung."""
    ring = ndimage.binary_dilation(piece, _CROSS, _RING) & ~ndimage.binary_dilation(piece, _CROSS, 2)
    return float(lungs[ring].mean()) if ring.any() else 0.0
