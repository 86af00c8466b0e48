"""The slices along their normal: unique, evenly spaced, complete, thin and long enough."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain.eligibility import Eligibility, Limits
from service.errors import Reason, Refusal
from service.imaging.frames import Frame

Positions = NDArray[np.float64]

_UNITS_MM = (0.5, 0.1, 0.05, 0.01)
_ON_UNIT_MM = 1e-3
"""Positions are rounded to a unit if all are multiples of it, up to the digits that float32 adds: "-298.799988"."""

_ROUNDED, _MOST_ROUNDED = 0.55, 0.45
"""Rounding moves a slice by half a unit, and a tenth for the fit of the grid; never by more than the second part of the
spacing: a missing slice moves the others by half of it."""

_WINDOW = 8


def check(frames: Sequence[Frame], normal: Positions, limits: Limits) -> Eligibility:
    """Measure slices of one orientation along their unit normal (LPS)."""
    along_mm = np.array([frame.position_mm for frame in frames]) @ normal
    places_mm = _distinct(np.sort(along_mm), limits.position_tolerance_mm)
    refusals = list(_duplicates(frames, along_mm, len(places_mm), limits))
    stated_mm = [frame.thickness_mm for frame in frames if frame.thickness_mm is not None]
    if len(places_mm) < 2:
        return Eligibility(tuple(refusals), slices=len(frames), thickness_mm=max(stated_mm, default=None))
    unit_mm = _unit_mm(frames, int(np.abs(normal).argmax()))
    grid_mm = _even_mm(places_mm, unit_mm)
    spacing_mm = _spacing_mm(places_mm, unit_mm) if grid_mm is None else grid_mm
    extent_mm = float(places_mm[-1] - places_mm[0]) + spacing_mm
    refusals += [] if grid_mm is not None else _spacing(places_mm, spacing_mm, unit_mm, limits)
    refusals += _coverage(extent_mm, limits)
    thickness_mm = max([spacing_mm, *stated_mm])
    return Eligibility(tuple(refusals), (), len(frames), spacing_mm, thickness_mm, extent_mm)


def _distinct(sorted_mm: Positions, tolerance_mm: float) -> Positions:
    """Positions without those that repeat the one before."""
    return sorted_mm[np.diff(sorted_mm, prepend=-np.inf) > tolerance_mm]


def _duplicates(frames: Sequence[Frame], along_mm: Positions, places: int, limits: Limits) -> Iterator[Refusal]:
    """MULTIPHASE if each acquisition or phase is a clean stack of its own, else DUPLICATE_POSITION."""
    repeated = len(frames) - places
    if not repeated:
        return
    phases = defaultdict(list)
    for frame, position_mm in zip(frames, along_mm, strict=True):
        phases[frame.phase].append(position_mm)
    clean = all(len(_distinct(np.sort(p), limits.position_tolerance_mm)) == len(p) for p in phases.values())
    if clean:
        detail = f"{len(phases)} acquisitions or phases share {repeated} slice positions."
        yield Refusal(Reason.MULTIPHASE, detail)
    else:
        images = len({(frame.sop_instance_uid, frame.number) for frame in frames})
        detail = f"{len(frames)} slices ({images} different) lie at {places} positions."
        yield Refusal(Reason.DUPLICATE_POSITION, detail)


def _unit_mm(frames: Sequence[Frame], axis: int) -> float:
    """Unit that positions were rounded to: the coarsest that all are multiples of, or that of their last decimal."""
    written_mm = min(frame.position_unit_mm[axis] for frame in frames)
    positions_mm = np.array([frame.position_mm[axis] for frame in frames])
    units_mm = [u for u in _UNITS_MM if np.abs(positions_mm - u * np.round(positions_mm / u)).max() <= _ON_UNIT_MM]
    return max([written_mm, *units_mm])


def _even_mm(places_mm: Positions, unit_mm: float) -> float | None:
    """Spacing of the even grid beside which the slices lie by no more than rounding; None if there is none."""
    numbers = np.arange(len(places_mm))
    slope_mm, start_mm = np.polyfit(numbers, places_mm, 1)
    off_mm = places_mm - (start_mm + slope_mm * numbers)
    allowed_mm = min(_ROUNDED * unit_mm, _MOST_ROUNDED * slope_mm) + 2 * _ON_UNIT_MM
    return float(slope_mm) if np.ptp(off_mm) / 2 <= allowed_mm else None


def _spacing_mm(places_mm: Positions, unit_mm: float) -> float:
    """The usual step; where positions were rounded, the mean of the steps on both sides of it.

    Steps as short as the unit tell nothing by themselves, but several together do.
    """
    apart = 1 if 1.01 * unit_mm < 0.45 * np.median(np.diff(places_mm)) else min(_WINDOW, len(places_mm) - 1)
    steps_mm = places_mm[apart:] - places_mm[:-apart]
    usual_mm = float(np.median(steps_mm))
    alike = np.abs(steps_mm - usual_mm) <= min(1.01 * unit_mm, 0.6 * usual_mm)
    return float(steps_mm[alike].mean()) / apart


def _spacing(places_mm: Positions, spacing_mm: float, unit_mm: float, limits: Limits) -> Iterator[Refusal]:
    """MISSING_SLICES for gaps of whole slices; IRREGULAR_SPACING for everything else that is not a regular grid."""
    steps_mm = np.diff(places_mm)
    rounding_mm = min(unit_mm, spacing_mm)
    tolerance_mm = max(limits.spacing_tolerance_mm, limits.spacing_tolerance * spacing_mm)
    whole = np.round(steps_mm / spacing_mm)
    gaps = (np.abs(steps_mm - whole * spacing_mm) <= tolerance_mm + rounding_mm) & (whole >= 2)
    gaps &= steps_mm > spacing_mm + rounding_mm + _ON_UNIT_MM
    if gaps.any():
        missing = int((whole[gaps] - 1).sum())
        detail = f"{missing} missing in {np.count_nonzero(gaps)} gap(s), the largest {steps_mm[gaps].max():.2f} mm."
        yield Refusal(Reason.MISSING_SLICES, f"{detail} Slice spacing is {spacing_mm:.2f} mm.")
        tolerance_mm += rounding_mm
    even_mm = steps_mm[~gaps]
    if np.ptp(even_mm) > tolerance_mm + _ON_UNIT_MM:
        detail = f"Slice spacing from {even_mm.min():.3f} to {even_mm.max():.3f} mm, a spread of {np.ptp(even_mm):.3f}"
        yield Refusal(Reason.IRREGULAR_SPACING, f"{detail} mm; at most {tolerance_mm:.3f} mm is accepted.")
    elif not gaps.any() and _off_grid_mm(places_mm) > spacing_mm / 2:
        detail = f"A slice lies {_off_grid_mm(places_mm):.2f} mm off the regular grid."
        yield Refusal(Reason.IRREGULAR_SPACING, detail)


def _off_grid_mm(places_mm: Positions) -> float:
    """Largest distance to evenly spaced positions: small steps of one sign add up."""
    grid_mm = np.linspace(places_mm[0], places_mm[-1], len(places_mm))
    return float(np.abs(places_mm - grid_mm).max())


def _coverage(extent_mm: float, limits: Limits) -> Iterator[Refusal]:
    if extent_mm < limits.min_extent_mm - 1e-3:
        yield Refusal(
            Reason.SHORT_COVERAGE, f"{extent_mm:.0f} mm; at least {limits.min_extent_mm:.0f} mm are required."
        )
