"""Which CT may be analysed: the limits of the gate and what it found."""

from dataclasses import dataclass

from service.domain.flags import Flag
from service.errors import Refusal

BYTES_A_VOXEL = 6
"""Memory that an analysis takes at most for each voxel, beside what it takes for any CT (docs/decisions/0162)."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of the gate; a pipeline may have its own.

    min_extent_mm: covered length, first to last slice inclusive.
    good_thickness_mm, max_thickness_mm: up to the first no warning, above the second a refusal; they apply to the
        larger of Slice Thickness and slice spacing.
    min_axial_cosine: of the angle between slice normal and the patient's long axis.
    spacing_tolerance_mm, spacing_tolerance: allowed spread of the slice spacing, the larger of both.
    cosine_tolerance, pixel_spacing_tolerance_mm, position_tolerance_mm: differences within one series that count
        as rounding.
    max_voxels: of the whole series, each of which takes `BYTES_A_VOXEL` of memory.
    max_tilt_degrees: of Gantry/Detector Tilt, and of the angle between slice normal and stacking direction.
    """

    min_slices: int = 30
    min_extent_mm: float = 200.0
    good_thickness_mm: float = 3.0
    max_thickness_mm: float = 5.0
    min_age_years: float = 18.0
    min_axial_cosine: float = 0.95
    allow_derived: bool = False
    spacing_tolerance_mm: float = 0.1
    spacing_tolerance: float = 0.05
    cosine_tolerance: float = 0.002
    pixel_spacing_tolerance_mm: float = 0.002
    position_tolerance_mm: float = 0.01
    max_tilt_degrees: float = 1.0
    max_voxels: int = 500_000_000


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What the headers say about a series. Measures are None where they could not be determined.

    refusals: every reason against an analysis; none if it may be analysed.
    thickness_mm: larger of Slice Thickness and slice spacing. extent_mm: first to last slice inclusive.
    """

    refusals: tuple[Refusal, ...] = ()
    flags: tuple[Flag, ...] = ()
    slices: int = 0
    spacing_mm: float | None = None
    thickness_mm: float | None = None
    extent_mm: float | None = None

    @property
    def ok(self) -> bool:
        return not self.refusals
