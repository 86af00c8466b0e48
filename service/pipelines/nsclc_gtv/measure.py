"""Measurements of a finding on the grid of the CT: diameters (RECIST 1.1), attenuation, solid and ground-glass part."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.analysis import Point
from service.domain.ct import CT
from service.imaging.diameters import Diameter, diameters
from service.imaging.figures import place_in_series
from service.pipelines.nsclc_gtv.field_grid import FieldGrid
from service.pipelines.nsclc_gtv.findings import Finding
from service.pipelines.nsclc_gtv.sides import Side, sides_of
from service.pipelines.nsclc_gtv.whereabouts import Place, place_of, right_part_by_spine

SOLID_FROM_HU = -300.0
"""Of 102 subsolid nodules, thresholds of -250 and -300 HU came nearest to the solid part that readers drew; -160 and
-400 HU are in use, too (Lee 2018, PLoS ONE 13, e0205490, compares these)."""

GROUND_GLASS_FROM_HU = -750.0
"""Below it a voxel of a finding is lung or the air of a cavity, and neither part."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A diameter of a finding. line: its ends, LPS in mm."""

    length_mm: float
    line: tuple[Point, Point]


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """One finding and its numbers.

    slice_index: of the CT's volume, where `longest` is longest; image: how a reader finds it in the series.
    longest, across, in_space: `imaging.diameters`.
    deviation_hu: standard deviation of its voxels. place: None where lungs were not measured, or none is near.
    sides: the lungs that it lies in. side_doubtful: the spine and the nearest lobe do not agree about them.
    """

    finding: Finding
    slice_index: int
    image: str
    longest: Axis
    across: Axis
    in_space: Axis
    mean_hu: float
    deviation_hu: float
    solid_part: float
    ground_glass_part: float
    place: Place | None
    sides: frozenset[Side]
    side_doubtful: bool

    @property
    def lobe_known(self) -> bool:
        """Whether it lies in a lobe, at least in part, and its side is not in doubt."""
        return self.place is not None and not self.place.beside and not self.side_doubtful

    @property
    def side(self) -> Side | None:
        """The one lung that it lies in; None where it lies in both or its side is in doubt."""
        return next(iter(self.sides)) if len(self.sides) == 1 else None

    @property
    def volume_ml(self) -> float:
        return self.finding.volume_ml

    @property
    def name(self) -> str:
        return self.finding.segment.name

    @property
    def title(self) -> str:
        return self.finding.segment.title


def measured(ct: CT, finding: Finding, lobe_mask: NDArray[np.uint8] | None, grid: FieldGrid) -> Measured:
    """lobe_mask: labels (`Lobe`), axes (slice, row, column) of the CT; None where lungs were not measured."""
    place = None if lobe_mask is None else place_of(ct, finding, lobe_mask)
    found = diameters(finding.mask, ct.volume.spacing)
    number = finding.box[0].start + found.slice_index
    sides, doubtful = sides_of(place, right_part_by_spine(ct, finding, grid))
    hu = ct.volume.array[finding.box][finding.mask].astype(np.float64)
    return Measured(
        finding=finding,
        slice_index=number,
        image=place_in_series(ct, number),
        longest=_axis(ct, finding, found.longest),
        across=_axis(ct, finding, found.across),
        in_space=_axis(ct, finding, found.in_space),
        mean_hu=float(hu.mean()),
        deviation_hu=float(hu.std()),
        solid_part=float(np.mean(hu >= SOLID_FROM_HU)),
        ground_glass_part=float(np.mean((hu >= GROUND_GLASS_FROM_HU) & (hu < SOLID_FROM_HU))),
        place=place,
        sides=sides,
        side_doubtful=doubtful,
    )


def _axis(ct: CT, finding: Finding, of: Diameter) -> Axis:
    """The diameter with its ends in the patient's frame."""
    corner = np.array([part.start for part in finding.box], np.float64)
    first, last = ct.volume.map_indices_to_reference(np.asarray(of.ends) + corner).tolist()
    return Axis(of.length_mm, (tuple(first), tuple(last)))
