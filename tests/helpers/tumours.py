"""Tumours of phantoms: bodies of known volume and diameters, smooth or with spikes, anywhere in the chest.

Coordinates are LPS in mm, relative to the phantom's centre, as in `helpers.phantom`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

TUMOUR_HU = 2500.0
"""Denser than bone, so that `helpers.tiny_tumour` finds it."""

_SUBSAMPLES = (-1 / 3, 0.0, 1 / 3)
"""Places within a voxel, along each axis, that are looked at: HU are those of the part that is tumour."""


@dataclass(frozen=True, slots=True)
class Tumour:
    """An ellipsoid, turned about the head-foot axis, whose radius may grow towards spikes.

    half_axes_mm: before it is turned. spikes: how many around it; spike_mm: how far they stick out in the plane.
    hu: attenuation; with TUMOUR_HU the stand-in network finds it.
    """

    centre_mm: tuple[float, float, float]
    half_axes_mm: tuple[float, float, float]
    turned_degrees: float = 0.0
    spikes: int = 0
    spike_mm: float = 0.0
    hu: float = TUMOUR_HU

    def holds(self, x: Array, y: Array, z: Array) -> NDArray[np.bool_]:
        """Whether points lie in it."""
        angle = np.radians(self.turned_degrees)
        x, y, z = (axis - centre for axis, centre in zip((x, y, z), self.centre_mm, strict=True))
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        a, b, c = self.half_axes_mm
        way = np.sqrt((along / a) ** 2 + (across / b) ** 2 + (z / c) ** 2)
        if not self.spikes:
            return np.asarray(way <= 1.0)
        reach = 1.0 + self.spike_mm / a * np.clip(np.cos(self.spikes * np.arctan2(across, along)), 0.0, 1.0) ** 2
        return np.asarray(way <= reach)

    @property
    def ml(self) -> float:
        """Volume, summed over cubes of half a millimetre."""
        reach = [half + self.spike_mm + 1.0 for half in self.half_axes_mm]
        size = max(reach[:2])
        axes = [np.arange(-length, length, 0.5) + 0.25 for length in (size, size, reach[2])]
        x, y, z = np.meshgrid(*axes, indexing="ij", sparse=True)
        moved = (axis + centre for axis, centre in zip((x, y, z), self.centre_mm, strict=True))
        return float(np.count_nonzero(self.holds(*moved)) * 0.5**3 / 1000)


def part_inside(tumour: Tumour, points: Array, steps: Array) -> Array:
    """Part of each voxel that is tumour, 0 to 1. points: x, y, z of the voxels' middles, the first axis.

    steps: rows: from voxel to voxel along each axis, in mm.
    """
    total = np.zeros(points.shape[1:])
    for first in _SUBSAMPLES:
        for second in _SUBSAMPLES:
            for third in _SUBSAMPLES:
                offset = first * steps[0] + second * steps[1] + third * steps[2]
                total += tumour.holds(*(points + offset.reshape(3, *[1] * (points.ndim - 1))))
    return total / len(_SUBSAMPLES) ** 3
