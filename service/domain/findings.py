"""What an analysis says: masks on the source grid and measurements with their units."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from service.domain.severity import Severity
from service.errors import Flag

LabelArray = NDArray[np.uint8]


class Lobe(IntEnum):
    """Label values of the lobe mask. 0 is outside the lungs."""

    RUL = 1
    RML = 2
    RLL = 3
    LUL = 4
    LLL = 5


RIGHT_LOBES = (Lobe.RUL, Lobe.RML, Lobe.RLL)
LEFT_LOBES = (Lobe.LUL, Lobe.LLL)


class Finding(IntEnum):
    """Label values of the findings mask. 0 is no finding."""

    GROUND_GLASS = 1
    HIGH_OPACITY = 2


@dataclass(frozen=True, slots=True)
class Region:
    """Measurements of one region of lung. mean_hu is None when the region is empty."""

    volume_ml: float
    ggo_ml: float
    high_opacity_ml: float
    mean_hu: float | None

    @property
    def opacity_ml(self) -> float:
        return self.ggo_ml + self.high_opacity_ml

    @property
    def opacity_percent(self) -> float:
        """Affected part of the region, unrounded percent; 0 for an empty region."""
        return 100.0 * self.opacity_ml / self.volume_ml if self.volume_ml else 0.0


@dataclass(frozen=True, slots=True)
class FindingRegion:
    """Measurements of one kind of finding in both lungs. mean_hu is None when there is none."""

    volume_ml: float
    percent_of_lungs: float
    mean_hu: float | None


@dataclass(frozen=True, slots=True)
class ModelUse:
    """Exactly which weights made a result."""

    name: str
    version: str
    sha256: str


@dataclass(frozen=True, slots=True)
class SelfAgreement:
    """How far the networks say the same of mirrored slices: Dice, 0 to 1. Low where they are out of their depth."""

    lungs: float
    opacities: float


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """The result of one pipeline on one CT.

    lobe_mask, finding_mask: uint8 labels (`Lobe`, `Finding`), axes (slice, row, column), on the CT's source grid.
    lobes: per lobe; lungs: keys "left", "right", "total".
    probabilities: class name to probability, or None when no validated classifier is installed.
    agreement: None where it was not measured.
    """

    pipeline: str
    lobe_mask: LabelArray
    finding_mask: LabelArray
    lobes: Mapping[Lobe, Region]
    lungs: Mapping[str, Region]
    findings: Mapping[Finding, FindingRegion]
    severity: Severity
    probabilities: Mapping[str, float] | None
    models: tuple[ModelUse, ...]
    flags: tuple[Flag, ...]
    agreement: SelfAgreement | None = None
