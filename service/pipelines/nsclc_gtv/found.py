"""Everything that was found in one CT, before it is coded."""

from dataclasses import dataclass

from service.domain.analysis import LabelArray
from service.pipelines.nsclc_gtv.findings import Findings, Rule
from service.pipelines.nsclc_gtv.measure import Measured
from service.pipelines.nsclc_gtv.sides import Side


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """measured: of the findings that are told one by one, the largest first.

    rest_sides: sides of the spine on which any finding lies that is not told.
    lobe_mask: labels (`Lobe`), axes (slice, row, column) of the CT; None where lungs were not measured.
    searched_ml: volume of the lung field that the network saw. voxel_ml: of one voxel of the CT.
    """

    findings: Findings
    measured: tuple[Measured, ...]
    rest_sides: frozenset[Side]
    lobe_mask: LabelArray | None
    searched_ml: float
    voxel_ml: float
    rule: Rule
