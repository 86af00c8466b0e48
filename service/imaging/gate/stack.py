"""The slices along their normal: unique, evenly spaced, complete, thin and long enough."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain.eligibility import Eligibility, Limits
from service.errors import Reason, Refusal
from service.imaging.frames import Frame

Positions = NDArray[np.float64]

_MOST_ROUNDED = 0.49
"""Of the slice spacing. Neighbouring steps differ by as much as the unit of the last decimal that the positions were
written with, the finest of all slices: zeros at the end may be left out. Less than half of the slice spacing keeps a
missing slice apart from rounding."""


def check(frames: Sequence[Frame], normal: Positions, limits: Limits) -> Eligibility:
    """Measure slices of one orientation along their unit normal (LPS)."""
    along_mm = np.array([frame.position_mm for frame in frames]) @ normal
    places_mm = _distinct(np.sort(along_mm), limits.position_tolerance_mm)
    refusals = list(_duplicates(frames, along_mm, len(places_mm), limits))
    stated_mm = [frame.thickness_mm for frame in frames if frame.thickness_mm is not None]
    if len(places_mm) < 2:
        return Eligibility(tuple(refusals), slices=len(frames), thickness_mm=max(stated_mm, default=None))
    unit_mm = min(frame.position_unit_mm[int(np.abs(normal).argmax())] for frame in frames)
    spacing_mm = _spacing_mm(places_mm, unit_mm)
    rounding_mm = min(unit_mm, _MOST_ROUNDED * spacing_mm)
    extent_mm = float(places_mm[-1] - places_mm[0]) + spacing_mm
    refusals += [*_spacing(places_mm, spacing_mm, rounding_mm, limits), *_coverage(extent_mm, limits)]
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


def _spacing_mm(places_mm: Positions, unit_mm: float) -> float:
    """The usual step; where positions were rounded to `unit_mm`, the mean of the steps on both sides of it."""
    steps_mm = np.diff(places_mm)
    usual_mm = float(np.median(steps_mm))
    alike = np.abs(steps_mm - usual_mm) <= min(1.01 * unit_mm, 0.6 * usual_mm)
    return float(steps_mm[alike].mean())


def _spacing(places_mm: Positions, spacing_mm: float, rounding_mm: float, limits: Limits) -> Iterator[Refusal]:
    """MISSING_SLICES for gaps of whole slices; IRREGULAR_SPACING for everything else that is not a regular grid."""
    steps_mm = np.diff(places_mm)
    tolerance_mm = max(limits.spacing_tolerance_mm, limits.spacing_tolerance * spacing_mm) + rounding_mm
    whole = np.round(steps_mm / spacing_mm)
    gaps = (whole >= 2) & (np.abs(steps_mm - whole * spacing_mm) <= tolerance_mm)
    if gaps.any():
        missing = int((whole[gaps] - 1).sum())
        detail = f"{missing} missing in {np.count_nonzero(gaps)} gap(s), the largest {steps_mm[gaps].max():.2f} mm."
        yield Refusal(Reason.MISSING_SLICES, f"{detail} Slice spacing is {spacing_mm:.2f} mm.")
    even_mm = steps_mm[~gaps]
    if np.ptp(even_mm) > tolerance_mm:
        detail = f"Slice spacing from {even_mm.min():.2f} to {even_mm.max():.2f} mm; the spread may be "
        yield Refusal(Reason.IRREGULAR_SPACING, f"{detail}{tolerance_mm:.2f} mm.")
    elif not gaps.any() and _off_grid_mm(places_mm) > _most_off_grid_mm(even_mm, spacing_mm, rounding_mm, tolerance_mm):
        detail = f"A slice lies {_off_grid_mm(places_mm):.2f} mm off the regular grid."
        yield Refusal(Reason.IRREGULAR_SPACING, detail)


def _most_off_grid_mm(steps_mm: Positions, spacing_mm: float, rounding_mm: float, tolerance_mm: float) -> float:
    """Steps that only rounding explains have to lie where rounding puts them: near an even grid, from end to end."""
    return tolerance_mm if np.ptp(steps_mm) > tolerance_mm - rounding_mm else spacing_mm / 2


def _off_grid_mm(places_mm: Positions) -> float:
    """Largest distance to evenly spaced positions: small steps of one sign add up."""
    grid_mm = np.linspace(places_mm[0], places_mm[-1], len(places_mm))
    return float(np.abs(places_mm - grid_mm).max())


def _coverage(extent_mm: float, limits: Limits) -> Iterator[Refusal]:
    if extent_mm < limits.min_extent_mm - 1e-3:
        yield Refusal(
            Reason.SHORT_COVERAGE, f"{extent_mm:.0f} mm; at least {limits.min_extent_mm:.0f} mm are required."
        )
