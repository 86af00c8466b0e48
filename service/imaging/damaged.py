"""Slices that are blank, damaged or rescaled differently: each judged by itself and against its neighbours.

Neighbouring slices of one scan resemble each other. Thumbnails, means over blocks of about 5 mm, are compared so that
noise and the kernel hardly matter. Limits and what real CTs measure: docs/decisions/0101.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.ct import Hounsfield
from service.errors import Reason

Thumbnails = NDArray[np.float32]
Mask = NDArray[np.bool_]

BLOCK_MM = 5.0
SHOWN_HU = (-1024.0, 400.0)
"""Metal and contrast agent change from slice to slice; above that they count as bone."""

ODD_ONE_OUT, STEP, FLOOR_HU = 1.3, 3.0, 8.0
"""Least difference to both neighbours as a multiple of that between these two; least step as a multiple of the steps
around it (40th percentile: short runs of bad slices neither raise nor lower it); both by `FLOOR_HU` more."""

FAR_MM, FAR_STEP = 10.0, 1.25
"""A step is also larger than the usual difference of slices so far apart: a breath between two blocks is no damage."""

SHIFT_HU = 30.0
"""Soft tissue does not change by that from slice to slice, wherever contrast agent may be."""

NOISY, NOISE_FLOOR_HU = 1.8, 20.0
ALTERNATING, SWING = 2.0, 0.2
"""Noise alternates if it differs more from the next slice than from the one after, by that factor, and by that part."""

_AROUND = 5
_LEAST_SLICES = 12
"""Fewer have no usual step."""

_BODY_HU, _BODY_PART = -300.0, 0.05
_TISSUE_HU, _THIN_HU = (-150.0, 100.0), -700.0
_MOST_ODD = 0.6
_SAME = 0.05
_HOLE_BLOCKS, _HOLE_SLICES = 16, 4
_LEAST_PIXELS, _METAL_HU = 16, 1000.0
"""A hole is 4 cm2 of blocks of one value, in that many slices at most, with the patient on both sides. A block has at
least 16 pixels, since few may agree by chance; metal saturates, and is no hole."""
_BLANK_PART = 0.02
_FITS, _MOSTLY, _NEARLY_ALL, _SLOPE_OFF = 1.5, 0.4, 0.1, 0.1
"""A rescale explains what leaves no more than a usual step, or little of a large difference."""


@dataclass(frozen=True, slots=True)
class Damage:
    """What is wrong, and with which slices (indices)."""

    reason: Reason
    what: str
    slices: tuple[int, ...]


def find_damage(hu: Hounsfield, spacing_mm: tuple[float, float, float]) -> Iterator[Damage]:
    """Everything wrong with single slices. hu: padding replaced by air; hu, spacing_mm: axes (slice, row, column)."""
    blank = np.array([plane.min() == plane.max() for plane in hu])
    small = np.stack([_thumbnail(plane, spacing_mm[1:]) for plane in hu])
    twins = _twins(hu, small) & ~blank
    cut = (_cut(hu) | _holes(hu, small, spacing_mm[1:])) & ~blank
    named = (
        (Reason.DAMAGED_SLICES, "Blank", blank),
        (Reason.DAMAGED_SLICES, "Pixels identical with those of another slice", twins),
        (Reason.DAMAGED_SLICES, "Empty where their neighbours show the patient", cut),
        *(_compared(hu, small, spacing_mm[0], cut) if len(hu) >= _LEAST_SLICES and not (blank | twins).any() else ()),
    )
    for reason, what, which in named:
        if which.any():
            yield Damage(reason, what, tuple(np.flatnonzero(which).tolist()))


def _compared(hu: Hounsfield, small: Thumbnails, slice_mm: float, known: Mask) -> Iterator[tuple[Reason, str, Mask]]:
    """What only the neighbours tell. known: slices reported already."""
    odd, breaks = _odd(small), _breaks(small, slice_mm)
    breaks &= ~(odd[:-1] | odd[1:])
    begins = _rescaled_from(small, breaks)
    yield Reason.NOT_HU, "Other Hounsfield units than before from here on", begins
    mixed = bool(odd[1:-1].mean() > _MOST_ODD)
    strange = _every_second(small) if mixed else odd | (_short_sides(breaks) & ~begins.any())
    rescaled = _rescaled(small, strange)
    if mixed and 2 * np.count_nonzero(rescaled) > np.count_nonzero(strange):
        rescaled = strange
    yield Reason.NOT_HU, "Other Hounsfield units than their neighbours'", rescaled
    yield Reason.DAMAGED_SLICES, "Unlike their neighbours", strange & ~rescaled & ~known
    level_hu = np.array([_noise_hu(plane) for plane in hu])
    if np.isfinite(level_hu).all():
        noisy = level_hu > NOISY * _around(level_hu, 50) + NOISE_FLOOR_HU
        yield Reason.DAMAGED_SLICES, "Much noisier than their neighbours", noisy & ~strange & ~known
        if not mixed and not _interpolated(hu, level_hu):
            yield Reason.MULTIPHASE, *_alternation(level_hu)


def _block(plane: Hounsfield, pixel_mm: tuple[float, float]) -> tuple[int, int]:
    """Rows and columns of a block."""
    high, wide = (max(1, min(round(BLOCK_MM / mm), size)) for mm, size in zip(pixel_mm, plane.shape, strict=True))
    return high, wide


def _over_blocks(
    reduce: np.ufunc, plane: Hounsfield, block: tuple[int, int], kept: type[np.generic] | None = None
) -> NDArray[Any]:
    """A plane reduced block by block; the rest of rows and columns that fills no block is left out.

    kept: the type to reduce in, where it is not the plane's.

    First along columns, then along rows that are laid beneath each other: of long lines reduction is fast.
    """
    (high, wide), (rows, columns) = block, np.floor_divide(plane.shape, block)
    of_rows = reduce.reduce(plane[: rows * high, : columns * wide].reshape(rows, high, columns * wide), 1, kept)
    beneath = np.ascontiguousarray(of_rows.reshape(rows, columns, wide).transpose(2, 0, 1))
    return np.asarray(reduce.reduce(beneath, 0, kept))


def _thumbnail(plane: Hounsfield, pixel_mm: tuple[float, float]) -> Thumbnails:
    """Means over blocks."""
    block = _block(plane, pixel_mm)
    exact = np.int32 if plane.dtype == np.int16 else None
    return np.asarray(_over_blocks(np.add, plane, block, exact) / (block[0] * block[1]), np.float32)


def _twins(hu: Hounsfield, small: Thumbnails) -> Mask:
    """Slices whose pixels are those of another slice, bit for bit; noise makes that impossible in one scan."""
    found = np.zeros(len(hu), np.bool_)
    seen: dict[bytes, int] = {}
    for k, thumbnail in enumerate(small):
        first = seen.setdefault(thumbnail.tobytes(), k)
        if first != k and np.array_equal(hu[first], hu[k]):
            found[[first, k]] = True
    return found


def _cut(hu: Hounsfield) -> Mask:
    """Slices with rows or columns of one value in which a neighbour shows the patient: half a slice was transferred."""
    found = np.zeros(len(hu), np.bool_)
    for axis in (1, 2):
        empty, body = map(np.stack, zip(*(_lines(plane, axis - 1) for plane in hu), strict=True))
        beside = np.zeros_like(body)
        beside[1:] |= body[:-1]
        beside[:-1] |= body[1:]
        found |= (empty & beside).sum(1) > _BLANK_PART * empty.shape[1]
    return found


def _lines(plane: Hounsfield, axis: int) -> tuple[Mask, Mask]:
    """Lines along an axis of the plane that hold one value, and those that show the patient."""
    body = (plane > _BODY_HU).sum(axis, dtype=np.int32) / plane.shape[axis]
    return np.asarray(plane.max(axis) == plane.min(axis)), np.asarray(body > _BODY_PART)


def _holes(hu: Hounsfield, small: Thumbnails, pixel_mm: tuple[float, float]) -> Mask:
    """Slices with blocks of one value where the nearest others on both sides show the patient."""
    empty = np.stack([_is_empty(plane, pixel_mm) for plane in hu])
    hole = empty & _patient_before(empty, small) & _patient_before(empty[::-1], small[::-1])[::-1]
    return np.asarray(hole.sum((1, 2)) >= _HOLE_BLOCKS, np.bool_)


def _is_empty(plane: Hounsfield, pixel_mm: tuple[float, float]) -> Mask:
    """Blocks of one value, as far as they have enough pixels; metal does not count."""
    block = _block(plane, pixel_mm)
    highest = _over_blocks(np.maximum, plane, block)
    if block[0] * block[1] < _LEAST_PIXELS:
        return np.zeros(highest.shape, np.bool_)
    return np.asarray((highest == _over_blocks(np.minimum, plane, block)) & (highest < _METAL_HU), np.bool_)


def _patient_before(empty: Mask, small: Thumbnails) -> Mask:
    """Where the last block that is not empty shows the patient, no more than a few slices before."""
    found = np.zeros_like(empty)
    since = np.full(empty.shape[1:], _HOLE_SLICES + 1)
    patient = np.zeros(empty.shape[1:], np.bool_)
    for k, blank in enumerate(empty):
        found[k] = patient & (since < _HOLE_SLICES)
        since = np.where(blank, since + 1, 0)
        patient = np.where(blank, patient, small[k] > _BODY_HU)
    return found


def _odd(small: Thumbnails) -> Mask:
    """Slices that differ from their neighbours more than these from each other."""
    shown = small.clip(*SHOWN_HU)
    steps_hu, over_hu = _differences(shown, 1), _differences(shown, 2)
    odd = np.zeros(len(small), np.bool_)
    odd[1:-1] = np.minimum(steps_hu[:-1], steps_hu[1:]) > ODD_ONE_OUT * over_hu + FLOOR_HU
    return odd


def _breaks(small: Thumbnails, slice_mm: float) -> Mask:
    """Steps between each slice and the next that no anatomy makes."""
    shown = small.clip(*SHOWN_HU)
    steps_hu = _differences(shown, 1)
    shift_hu = np.array([_tissue_shift(a, b) for a, b in pairwise(small)])
    far = min(max(2, round(FAR_MM / slice_mm)), len(small) - 1)
    least_hu = np.maximum(STEP * _around(steps_hu, 40) + FLOOR_HU, FAR_STEP * np.median(_differences(shown, far)))
    return np.asarray((steps_hu > least_hu) | (np.abs(shift_hu) > SHIFT_HU), np.bool_)


def _every_second(small: Thumbnails) -> Mask:
    """Every second slice: those that show less air, or less soft tissue, where Hounsfield units put them."""
    air = (small < _THIN_HU).mean((1, 2))
    tissue = ((small > _TISSUE_HU[0]) & (small < _TISSUE_HU[1])).mean((1, 2))
    shown = np.minimum(air, tissue)
    bad = 0 if np.median(shown[::2]) < np.median(shown[1::2]) else 1
    return np.asarray(np.arange(len(small)) % 2 == bad, np.bool_)


def _rescaled_from(small: Thumbnails, breaks: Mask) -> Mask:
    """Slices after which the stack goes on in other Hounsfield units, where breaks part it into long pieces only."""
    found = np.zeros(len(small), np.bool_)
    if breaks.any() and not _short(breaks).any():
        usual_hu = float(np.median(_differences(small.clip(*SHOWN_HU), 1)))
        for before in np.flatnonzero(breaks):
            sides = (int(before), int(before) + 1)
            found[sides[1]] = any(
                _is_rescaled(small, one, np.arange(len(small)) == other, usual_hu)
                for one, other in (sides, sides[::-1])
            )
    return found


def _rescaled(small: Thumbnails, strange: Mask) -> Mask:
    """Runs of strange slices that another slope or intercept explains."""
    shown = small.clip(*SHOWN_HU)
    usual_hu = min(float(np.median(_differences(shown, apart))) for apart in (1, 2))  # every second slice may be bad
    runs, count = ndimage.label(strange)
    found = np.zeros_like(strange)
    for run in range(1, count + 1):
        found |= (runs == run) & any(
            _is_rescaled(small, int(k), ~strange, usual_hu) for k in np.flatnonzero(runs == run)
        )
    return found


def _differences(shown: Thumbnails, apart: int) -> NDArray[np.float64]:
    """Mean absolute difference of slices so far apart."""
    return np.array([np.abs(a - b).mean(dtype=np.float64) for a, b in zip(shown[:-apart], shown[apart:], strict=True)])


def _around(steps: NDArray[np.float64], percentile: float) -> NDArray[np.float64]:
    """Percentile of the steps around each, without itself."""
    usual = np.empty(len(steps))
    for k in range(len(steps)):
        first = max(0, min(k - _AROUND, len(steps) - 2 * _AROUND - 1))
        usual[k] = np.percentile(np.delete(steps[first : first + 2 * _AROUND + 1], k - first), percentile)
    return usual


def _tissue_shift(one: Thumbnails, other: Thumbnails) -> float:
    """Median change of soft tissue, 0 if there is too little."""
    tissue = (one > -200) & (other > -200) & (one < 300) & (other < 300)
    return float(np.median((other - one)[tissue])) if np.count_nonzero(tissue) > 20 else 0.0


def _short(breaks: Mask) -> Mask:
    """Pieces of the stack, parted by the breaks, that are no longer than a quarter of it."""
    piece = np.concatenate([[0], np.cumsum(breaks)])
    return np.asarray(np.bincount(piece) <= len(piece) // 4, np.bool_)


def _short_sides(breaks: Mask) -> Mask:
    """Slices of the short pieces into which breaks part the stack; those beside a break if none is bad.

    breaks: between each slice and the next. A short piece at an end is only bad beside a long one: beside a short one
    it is what this one leaves of the stack.
    """
    bad = _short(breaks)
    if len(bad) > 2:
        bad[0], bad[-1] = bad[0] and not bad[1], bad[-1] and not bad[-2]
    if breaks.any() and not bad.any():
        return np.asarray(np.append(breaks, False) | np.insert(breaks, 0, False), np.bool_)
    return np.asarray(bad[np.concatenate([[0], np.cumsum(breaks)])] & breaks.any(), np.bool_)


def _is_rescaled(small: Thumbnails, k: int, good: Mask, usual_step_hu: float) -> bool:
    """Whether slice `k` is the nearest good slice with another slope or intercept."""
    if not good.any():
        return False
    places = np.flatnonzero(good)
    nearest = small[places[np.abs(places - k).argmin()]]
    inside = (nearest > -1000) & (small[k] > -1000) & (nearest < 1000)
    if np.count_nonzero(inside) < 20 or np.ptp(nearest[inside]) < 1.0:
        return False
    slope, intercept = np.polyfit(nearest[inside], small[k][inside], 1)
    left_hu = np.abs(slope * nearest[inside] + intercept - small[k][inside]).mean() / max(slope, 0.01)
    change_hu = small[k][inside] - nearest[inside]
    usual_hu = max(usual_step_hu / np.mean(inside), 1.0)
    change = float(np.abs(change_hu).mean())
    explained = left_hu <= max(_FITS * usual_hu, min(2 * _FITS * usual_hu, _MOSTLY * change), _NEARLY_ALL * change)
    return bool(explained and (abs(slope - 1.0) > _SLOPE_OFF or abs(np.median(change_hu)) > SHIFT_HU))


def _alternation(level_hu: NDArray[np.float64]) -> tuple[str, Mask]:
    """Every second slice, if noise goes up and down with them: they are of another kernel or dose."""
    swing_hu, over_hu = np.abs(np.diff(level_hu)).mean(), np.abs(level_hu[2:] - level_hu[:-2]).mean()
    every_second = np.arange(len(level_hu)) % 2 == 1
    alternates = swing_hu > max(ALTERNATING * over_hu, SWING * np.median(level_hu))
    low_hu, high_hu = sorted((np.median(level_hu[::2]), np.median(level_hu[1::2])))
    return f"Noise alternates between {low_hu:.0f} and {high_hu:.0f} HU", every_second & alternates


def _interpolated(hu: Hounsfield, level_hu: NDArray[np.float64]) -> bool:
    """Whether every second slice is the mean of its neighbours, which halves the spacing and smooths the noise."""
    rest_hu = np.array(
        [
            np.abs(here[::8] - (below[::8] / 2 + above[::8] / 2)).mean()
            for below, here, above in zip(hu[:-2], hu[1:-1], hu[2:], strict=True)
        ]
    )
    return bool(min(np.median(rest_hu[::2]), np.median(rest_hu[1::2])) < 1.0 + _SAME * np.median(level_hu))


def _noise_hu(plane: Hounsfield) -> float:
    """Mean difference of neighbouring pixels in soft tissue; NaN without soft tissue."""
    rows = plane[::4]
    one, other = rows[:, :-1], rows[:, 1:]
    tissue = (one > _BODY_HU) & (other > _BODY_HU) & (one < SHOWN_HU[1]) & (other < SHOWN_HU[1])
    return float(np.abs(one - other)[tissue].mean()) if np.count_nonzero(tissue) > 50 else float("nan")
