"""The labels of one file, and those of two files on the same voxels."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.imaging.lattice import GridMismatch, corners, described, joined, placement

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of one file.

    grid: the file's voxels.
    names: label value or segment number to what it is called (NIfTI: nothing).
    mask: given label numbers, where any of them is; bool, shape of the grid. Masks of segments may overlap.
    whole: whether the grid is that of the image. A Segmentation may leave out slices without label, so its grid may be
        a part; what lies outside is background.
    oriented: whether the file says how its voxels lie in the patient.
    """

    grid: hd.VolumeGeometry
    names: Mapping[int, tuple[str, ...]]
    mask: Callable[[Sequence[int]], Mask]
    whole: bool
    oriented: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Two files on one grid. pred, truth: as `Labels.mask`, of the shape of `grid`. notes: what a reader must know."""

    grid: hd.VolumeGeometry
    pred: Callable[[Sequence[int]], Mask]
    truth: Callable[[Sequence[int]], Mask]
    notes: tuple[str, ...] = ()

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        first, second, third = map(float, self.grid.spacing)
        return first, second, third

    @property
    def slice_axis(self) -> int:
        """The axis nearest to the patient's head-foot direction."""
        return int(np.argmax([abs(vector[2]) for vector in self.grid.unit_vectors()]))


def align(pred: Labels, truth: Labels, resample: bool) -> Aligned:
    """Put both on the truth's voxels (on the prediction's where only those are the image's).

    Axis order, direction and left-out slices may differ; otherwise GridMismatch, unless `resample`: then the
    prediction is taken to the truth's voxels by nearest neighbour wherever the grids differ.
    """
    notes = _doubts(pred, truth)
    try:
        grid = _common_grid(pred, truth)
    except GridMismatch:
        if not resample:
            raise
        grid = truth.grid if truth.whole else _grown(truth.grid, pred.grid)
        notes += ("The prediction was resampled onto the truth's grid by nearest neighbour.",)
        if lost_ml := _lost_ml(pred, grid):
            notes += (f"{lost_ml:.1f} mL of the prediction lie outside the truth's grid and are not counted.",)
        return Aligned(grid, _resampled(pred, grid), _placed(truth, grid), notes)
    return Aligned(grid, _placed(pred, grid), _placed(truth, grid), notes)


def alone(truth: Labels) -> Aligned:
    """The truth against a prediction without any label."""

    def nothing(_numbers: Sequence[int]) -> Mask:
        return np.zeros(truth.grid.spatial_shape, np.bool_)

    return Aligned(truth.grid, nothing, truth.mask)


def _doubts(pred: Labels, truth: Labels) -> tuple[str, ...]:
    if not (pred.oriented or truth.oriented):
        return ("Neither file says how its voxels lie in the patient: they were compared voxel by voxel.",)
    if not (pred.oriented and truth.oriented):
        which = "truth" if pred.oriented else "prediction"
        raise GridMismatch(
            f"the {which} does not say how its voxels lie in the patient (qform_code and sform_code are 0)"
        )
    frames = {pred.grid.frame_of_reference_uid, truth.grid.frame_of_reference_uid} - {None}
    return ("The Frame of Reference UIDs differ: compared by coordinates.",) if len(frames) > 1 else ()


def _common_grid(pred: Labels, truth: Labels) -> hd.VolumeGeometry:
    base, other = (pred, truth) if pred.whole and not truth.whole else (truth, pred)
    place = placement(other.grid, base.grid)
    if place is None:
        raise _mismatch(pred, truth)
    low = np.array(place.start)
    high = low + np.array(other.grid.spatial_shape)[list(place.axes)]
    if not base.whole:
        return joined(base.grid, low, high)
    if other.whole and (low.any() or (high != base.grid.spatial_shape).any()):
        raise _mismatch(pred, truth)
    if not other.whole and _lost_ml(other, base.grid) > 0:
        raise GridMismatch("labels of the Segmentation lie outside the image of the other file")
    return base.grid


def _grown(grid: hd.VolumeGeometry, other: hd.VolumeGeometry) -> hd.VolumeGeometry:
    """The lattice of `grid` as far as `other` reaches."""
    index = (corners(other) @ other.affine[:3, :3].T + other.position) @ grid.inverse_affine[:3, :3].T
    index += grid.inverse_affine[:3, 3]
    return joined(grid, np.floor(index.min(axis=0)).astype(int), np.ceil(index.max(axis=0)).astype(int) + 1)


def _mismatch(pred: Labels, truth: Labels) -> GridMismatch:
    return GridMismatch(
        "prediction and truth do not lie on the same voxels.\n"
        f"  prediction: {described(pred.grid)}\n  truth:      {described(truth.grid)}"
    )


def _placed(labels: Labels, grid: hd.VolumeGeometry) -> Callable[[Sequence[int]], Mask]:
    """The labels' masks on `grid`, which is on the same lattice."""
    place = placement(labels.grid, grid)
    assert place is not None, "the grid was chosen on this lattice"
    low = np.array(place.start)
    high = low + np.array(labels.grid.spatial_shape)[list(place.axes)]
    first, last = np.maximum(low, 0), np.minimum(high, grid.spatial_shape)
    there, here = (tuple(map(slice, first - by, last - by)) for by in (np.zeros_like(low), low))

    def mask(numbers: Sequence[int]) -> Mask:
        placed = np.zeros(grid.spatial_shape, np.bool_)
        placed[there] = place.turned(labels.mask(numbers))[here]
        return placed

    return mask


def _resampled(labels: Labels, grid: hd.VolumeGeometry) -> Callable[[Sequence[int]], Mask]:
    """The labels' masks on any grid, by nearest neighbour."""
    to_labels = labels.grid.inverse_affine @ grid.affine
    turn, start, shape = to_labels[:3, :3], to_labels[:3, 3], grid.spatial_shape

    def mask(numbers: Sequence[int]) -> Mask:
        found = labels.mask(numbers).view(np.uint8)
        moved = ndimage.affine_transform(found, turn, start, shape, order=0, mode="grid-constant")
        return np.asarray(moved > 0)

    return mask


def _lost_ml(labels: Labels, grid: hd.VolumeGeometry) -> float:
    """Volume of the labels that lies outside `grid`."""
    to_grid = grid.inverse_affine @ labels.grid.affine
    reach = corners(labels.grid) @ to_grid[:3, :3].T + to_grid[:3, 3]
    if not _outside(reach, grid).any():
        return 0.0
    index = np.stack(np.nonzero(labels.mask(list(labels.names))), axis=1)
    outside = _outside(index @ to_grid[:3, :3].T + to_grid[:3, 3], grid)
    return int(np.count_nonzero(outside)) * float(labels.grid.voxel_volume) / 1000.0


def _outside(index: NDArray[np.float64], grid: hd.VolumeGeometry) -> Mask:
    """Which of the indices, shape (n, 3), are beyond the voxels of `grid`."""
    return np.asarray(((index < -0.5) | (index > np.array(grid.spatial_shape) - 0.5)).any(axis=1))
