"""Noise and calibration of a CT, measured where its attenuation is known: in the air of the trachea.

The trachea is found as for the lungs (`imaging.airways`); what lies near its wall is left out. HU end at -1024, which
cuts off the noise below air. So the noise is measured above the median alone: half of a normal distribution is as good
as the whole.
"""

from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.imaging.airways import airways
from service.imaging.boxes import bounds
from service.imaging.harmonise import reach, resample_like

FROM_WALL_MM = 3.0
"""In the plane. Nearer to the wall a voxel is air and wall at once."""

LEAST_VOXELS = 200
"""Percentiles of fewer voxels mean little."""

_ONE_SIGMA = 84.134
"""Percentile of a normal distribution one standard deviation above its median."""


@dataclass(frozen=True, slots=True)
class TracheaAir:
    """median_hu: of its air, -1000 by definition of the Hounsfield unit. noise_hu: standard deviation."""

    median_hu: float
    noise_hu: float


def trachea_air(source: hd.Volume, grid: hd.Volume, lungs: NDArray[np.uint8]) -> TracheaAir | None:
    """Air of trachea and main bronchi; None where there is too little of it, or none was found.

    source: HU of the CT. grid: HU on the model's grid, centred on the body, axes (slice to F, row to P, column to L);
    lungs: labels on it, 0 outside.
    """
    found = airways(grid, lungs > 0)
    if not found.any():
        return None
    there = source[reach(grid[bounds(found, (0, 0, 0))], source)]
    inside = resample_like(grid.with_array(np.where(found, 255, 0).astype(np.uint8)), there) >= 128
    spacing_mm = there.spacing[1:]
    core = [ndimage.distance_transform_edt(plane, sampling=spacing_mm) > FROM_WALL_MM for plane in inside]
    air = there.array[np.stack(core)]
    if air.size < LEAST_VOXELS:
        return None
    median, above = np.percentile(air, [50.0, _ONE_SIGMA])
    return TracheaAir(float(median), float(above - median))
