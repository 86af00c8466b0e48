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


Index = tuple[int, int, int]


def widest(emphysema: NDArray[np.bool_]) -> tuple[Index, Index] | None:
    """First and last voxel of the row in which emphysema reaches furthest, (slice, row, column); None without any."""
    columns = np.arange(emphysema.shape[2])
    last = np.where(emphysema, columns, -1).max(axis=2)
    first = np.where(emphysema, columns, emphysema.shape[2]).min(axis=2)
    if last.max() < 0:
        return None
    slice_, row = (int(index) for index in np.unravel_index(np.argmax(last - first), last.shape))
    return (slice_, row, int(first[slice_, row])), (slice_, row, int(last[slice_, row]))


def heat(hu: NDArray[np.float32], emphysema: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """How far voxels are below the threshold: 255 at -1024 HU, 0 where there is no emphysema."""
    depth = (BELOW_HU - hu) / (BELOW_HU + 1024.0)
    return np.where(emphysema, np.rint(255.0 * depth.clip(0.0, 1.0)), 0).astype(np.uint8)


def measure(emphysema: NDArray[np.bool_], lobes: NDArray[np.uint8], voxel_ml: float) -> dict[Lobe, Region]:
    """emphysema, lobes (`Lobe`): one shape (slice, row, column)."""
    regions = {}
    for lobe in Lobe:
        inside = lobes == lobe
        count, thin = np.count_nonzero(inside), np.count_nonzero(inside & emphysema)
        regions[lobe] = Region(int(count) * voxel_ml, int(thin) * voxel_ml)
    return regions
