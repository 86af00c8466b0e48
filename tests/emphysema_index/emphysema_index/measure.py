"""How much of each lobe is below -950 HU."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.anatomy import Lobe

BELOW_HU = -950.0


@dataclass(frozen=True, slots=True)
class Region:
    """volume_ml: of the region. below_ml: of its voxels that are emphysema."""

    volume_ml: float
    below_ml: float

    @property
    def percent(self) -> float:
        """The emphysema index; 0 for an empty region."""
        return 100.0 * self.below_ml / self.volume_ml if self.volume_ml else 0.0


def measure(emphysema: NDArray[np.bool_], lobes: NDArray[np.uint8], voxel_ml: float) -> dict[Lobe, Region]:
    """emphysema, lobes (`Lobe`): one shape (slice, row, column)."""
    regions = {}
    for lobe in Lobe:
        inside = lobes == lobe
        count, thin = np.count_nonzero(inside), np.count_nonzero(inside & emphysema)
        regions[lobe] = Region(int(count) * voxel_ml, int(thin) * voxel_ml)
    return regions
