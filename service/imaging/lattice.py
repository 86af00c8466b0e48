"""Whether two grids are parts of one lattice, and moving labels between them without touching a value.

A file may store the same voxels with its axes in another order or direction (NIfTI counts to the right, back to front;
DICOM by rows from the front), and a Segmentation may leave out slices. All of that is undone here exactly. What is
left is a difference of geometry, and that is refused, never guessed.
"""

from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.errors import Permanent

TOLERANCE_VOXELS = 0.05
"""How far any corner of one grid may lie off the other's voxel centres: headers are rounded, by far less than this."""


class GridMismatch(Permanent):
    """Two label maps that do not lie on the same voxels."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one grid lies in another: axes[k] is the source's axis along the target's axis k, flips[k] whether it runs
    against it, start[k] the target's index of the first voxel."""

    axes: tuple[int, ...]
    flips: tuple[bool, ...]
    start: tuple[int, ...]

    def turned(self, array: NDArray[Any]) -> NDArray[Any]:
        """The source's array in the target's axes (a view)."""
        return array.transpose(self.axes)[tuple(slice(None, None, -1 if flip else 1) for flip in self.flips)]


def placement(source: hd.VolumeGeometry, target: hd.VolumeGeometry) -> Placement | None:
    """Where `source` lies on the lattice of `target`, inside its shape or not; None if its voxels are others."""
    exact = target.inverse_affine @ source.affine
    turn, start = np.rint(exact[:3, :3]), np.rint(exact[:3, 3])
    if not (np.abs(turn).sum(axis=0) == 1).all() or not (np.abs(turn).sum(axis=1) == 1).all():
        return None
    drift = np.abs(corners(source) @ (exact[:3, :3] - turn).T + (exact[:3, 3] - start))
    if drift.max() > TOLERANCE_VOXELS:
        return None
    axes = np.abs(turn).argmax(axis=1)
    flips = turn[range(3), axes] < 0
    start -= np.where(flips, np.array(source.spatial_shape)[axes] - 1, 0)
    return Placement(tuple(map(int, axes)), tuple(map(bool, flips)), tuple(map(int, start)))


def corners(grid: hd.VolumeGeometry) -> NDArray[np.float64]:
    """Indices of the eight corner voxels, shape (8, 3)."""
    return np.array(list(np.ndindex(2, 2, 2))) * (np.array(grid.spatial_shape) - 1.0)


def joined(grid: hd.VolumeGeometry, low: NDArray[np.int64], high: NDArray[np.int64]) -> hd.VolumeGeometry:
    """The lattice of `grid` from index `low` up to `high` (exclusive), at least all of `grid`."""
    low = np.minimum(low, 0)
    high = np.maximum(high, grid.spatial_shape)
    affine = grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ low
    shape = [int(n) for n in high - low]
    return hd.VolumeGeometry(affine, shape, grid.coordinate_system, grid.frame_of_reference_uid)


def described(grid: hd.VolumeGeometry) -> str:
    """For an error message: shape, spacing, first voxel and directions."""
    spacing = " x ".join(f"{s:.4g}" for s in grid.spacing)
    shape = " x ".join(map(str, grid.spatial_shape))
    position = ", ".join(f"{p:.2f}" for p in grid.position)
    directions = "; ".join(" ".join(f"{v:.3f}" for v in vector) for vector in grid.unit_vectors())
    return f"{shape} voxels of {spacing} mm, first at ({position}) mm LPS, axes along ({directions})"
