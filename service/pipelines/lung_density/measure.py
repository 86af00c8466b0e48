"""Attenuation of lobes and lungs from one histogram for each lobe, made slice by slice to keep memory small.

Definitions:

LAA-950: voxels below -950 HU in percent of the region, the threshold that agreed best with the lungs under the
    microscope (Gevenois 1996).
Perc15: the least whole HU that 15 % of the region's voxels do not exceed. As a density it is Perc15 + 1000 g/L, called
    PD15 (Dirksen 1999, Parr 2006).
HAA: voxels from -600 up to, but not at, -250 HU in percent of the region (Lederer 2009, Podolanczuk 2016).
Mean: of the HU of all voxels of the region, with whatever lies in it.

Every voxel of the lungs counts as it is in the CT: nothing is filtered, resampled or calibrated. The lungs are those of
every pipeline here. Trachea and main bronchi are not part of them; smaller airways, vessels, opacities and masses are.
Their surface lies where the network is undecided; the voxels along it are lung and chest wall at once, and count whole:
the region is not eroded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

import numpy as np
from numpy.typing import NDArray

from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.domain.ct import Hounsfield

LAA_BELOW_HU = -950
HAA_HU = (-600, -250)
"""From the first up to, but not at, the second."""

PERCENTILE = 15.0
DENSITY_OF_WATER = 1000.0
"""In g/L: attenuation in HU plus this is a density."""

LOWEST_HU, HIGHEST_HU = -1024, 1023
"""Ends of the histogram. `read_ct` clips lower HU to the first; what has more counts as the highest, which none of the
limits comes near."""

_BINS = 2 * (HIGHEST_HU - LOWEST_HU + 1)
_LABELS = len(Lobe) + 1


class Measure(StrEnum):
    """What is told of a region's attenuation; the value is what people read."""

    LAA = "LAA-950"
    PERC15 = "Perc15"
    MEAN = "mean"
    HAA = "HAA"


@dataclass(frozen=True, slots=True)
class Attenuation:
    """Of a region that is not empty, as defined above. perc15_hu: in whole HU."""

    laa_percent: float
    perc15_hu: float
    mean_hu: float
    haa_percent: float

    @property
    def pd15_g_per_l(self) -> float:
        """Perc15 as a density."""
        return self.perc15_hu + DENSITY_OF_WATER


@dataclass(frozen=True, slots=True, eq=False)
class Region:
    """Voxels of one region of lung.

    counts: two for each whole HU from `LOWEST_HU` on: of that HU, and of those between it and the next.
    total_hu: sum of all HU as they are.
    """

    counts: NDArray[np.int64]
    total_hu: float
    voxel_ml: float

    @classmethod
    def together(cls, parts: Iterable[Self]) -> Self:
        """The region that the parts, one at least, make up; they do not overlap."""
        every = list(parts)
        counts = np.sum([one.counts for one in every], axis=0)
        return cls(counts, sum(one.total_hu for one in every), every[0].voxel_ml)

    @property
    def volume_ml(self) -> float:
        return int(self.counts.sum()) * self.voxel_ml

    @property
    def attenuation(self) -> Attenuation | None:
        """None where the region is empty."""
        voxels = int(self.counts.sum())
        if not voxels:
            return None
        reached = self.counts.cumsum() * 100.0 >= PERCENTILE * voxels
        return Attenuation(
            laa_percent=100.0 * self._from_to(LOWEST_HU, LAA_BELOW_HU) / voxels,
            perc15_hu=float((reached.argmax() + 1) // 2 + LOWEST_HU),
            mean_hu=self.total_hu / voxels,
            haa_percent=100.0 * self._from_to(*HAA_HU) / voxels,
        )

    @property
    def whole_hu(self) -> NDArray[np.int64]:
        """Voxels by whole HU from `LOWEST_HU` on; those with a fraction count as the whole HU below."""
        found: NDArray[np.int64] = self.counts.reshape(-1, 2).sum(axis=1)
        return found

    def _from_to(self, first_hu: int, end_hu: int) -> int:
        """Voxels from `first_hu` up to, but not at, `end_hu`."""
        return int(self.counts[2 * (first_hu - LOWEST_HU) : 2 * (end_hu - LOWEST_HU)].sum())


@dataclass(frozen=True, slots=True, eq=False)
class Measurements:
    """Regions of lung. lungs: keys "right", "left", "total"."""

    lobes: Mapping[Lobe, Region]
    lungs: Mapping[str, Region]

    @property
    def total(self) -> Region:
        """Both lungs."""
        return self.lungs["total"]


def measure(hu: Hounsfield, lobe_mask: NDArray[np.uint8], voxel_ml: float) -> Measurements:
    """Measure all regions. hu, lobe_mask (`Lobe`): one shape (slice, row, column)."""
    counts, totals = np.zeros(_LABELS * _BINS, np.int64), np.zeros(_LABELS)
    for plane, labels in zip(hu, lobe_mask, strict=True):
        inside = labels > 0
        values, which = plane[inside], labels[inside]
        below, above = (
            whole.clip(LOWEST_HU, HIGHEST_HU).astype(np.int64) - LOWEST_HU
            for whole in (np.floor(values), np.ceil(values))
        )
        bins = below + above
        counts += np.bincount(which * np.int64(_BINS) + bins, minlength=len(counts))
        totals += np.bincount(which, values, minlength=_LABELS)
    by_label = counts.reshape(_LABELS, _BINS)
    lobes = {lobe: Region(by_label[lobe], float(totals[lobe]), voxel_ml) for lobe in Lobe}
    sides = {"right": RIGHT_LOBES, "left": LEFT_LOBES, "total": tuple(Lobe)}
    return Measurements(lobes, {side: Region.together(lobes[lobe] for lobe in of) for side, of in sides.items()})
