"""Distances between the surfaces of two masks, every element of surface counted by its area.

Definitions of Nikolov et al., "Clinically applicable segmentation of head and neck anatomy for radiotherapy", JMIR 2021
(doi:10.2196/26151, first arXiv:1809.04430, 2018): the elements lie between the voxels (marching cubes), so that neither
a finer sampling along one axis nor an oblique surface counts more than its area.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from service.imaging.agreement.surfels import CORNERS, surfel_areas

Mask = NDArray[np.bool_]

_ROUNDING_MM = 1e-6  # a distance of just the tolerance is within it


@dataclass(frozen=True, slots=True, eq=False)
class Distances:
    """From each surface element of one mask to the nearest element of the other; both arrays have shape (n,)."""

    distance_mm: NDArray[np.float64]
    area_mm2: NDArray[np.float64]

    def percentile_mm(self, percent: float) -> float:
        """The least distance within which `percent` of the area lies."""
        order = np.argsort(self.distance_mm)
        covered = np.cumsum(self.area_mm2[order])
        position = np.searchsorted(covered, percent / 100 * covered[-1])
        return float(self.distance_mm[order[min(position, len(order) - 1)]])

    def area_within_mm2(self, tolerance_mm: float) -> float:
        return float(self.area_mm2[self.distance_mm <= tolerance_mm + _ROUNDING_MM].sum())


def surface_distances(a: Mask, b: Mask, spacing_mm: tuple[float, float, float]) -> tuple[Distances, Distances]:
    """From a to b, and from b to a. Masks of one shape, neither empty; what touches the edge has its surface there."""
    (points_a, area_a), (points_b, area_b) = (_elements(mask, spacing_mm) for mask in (a, b))
    return (
        Distances(_tree(points_b).query(points_a, workers=-1)[0], area_a),
        Distances(_tree(points_a).query(points_b, workers=-1)[0], area_b),
    )


def hausdorff_mm(distances: tuple[Distances, Distances], percent: float = 95.0) -> float:
    """The larger of the two directed percentiles (H95; 100 gives the Hausdorff distance)."""
    return max(directed.percentile_mm(percent) for directed in distances)


def surface_dice(distances: tuple[Distances, Distances], tolerance_mm: float) -> float:
    """Part of the area of both surfaces that lies within `tolerance_mm` of the other, 0 to 1."""
    return sum(d.area_within_mm2(tolerance_mm) for d in distances) / sum(float(d.area_mm2.sum()) for d in distances)


def _elements(mask: Mask, spacing_mm: tuple[float, float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions in mm, shape (n, 3), and areas in mm^2, shape (n,), of the surface elements."""
    padded = np.pad(mask, 1).view(np.uint8)
    codes = np.zeros([n - 1 for n in padded.shape], np.uint8)
    for bit, corner in enumerate(CORNERS):
        codes |= padded[tuple(slice(c, c + n) for c, n in zip(corner, codes.shape, strict=True))] << np.uint8(bit)
    positions = np.nonzero((codes != 0) & (codes != 255))
    return np.stack(positions, axis=1) * np.array(spacing_mm), surfel_areas(spacing_mm)[codes[positions]]


def _tree(points: NDArray[np.float64]) -> cKDTree:
    return cKDTree(points, balanced_tree=False, compact_nodes=False)
