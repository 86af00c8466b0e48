"""Between a CT's own grid and a model's grid, both ways. Only this and `registration` resample with SimpleITK.

Every volume carries its affine to the patient's LPS frame, so there is no special case for prone, feet-first or
reversed series: the way there orients and resamples by the affine, the way back resamples onto the source's affine.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
from typing import Any

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

from service.imaging.boxes import Box

MODEL_ORIENTATION = "FPL"
"""Slices run to the feet, rows to the back, columns to the left (PS3.3 C.7.6.1.1.1): an axial head-first supine CT."""

AIR_HU = -1024.0
BODY_HU = -300.0
"""Above it lie skin, fat, soft tissue and bone; below it air, clothes, most of the table and of the lungs."""


_WIDEST = 9
"""Taps of the low pass at most."""

THIN_MM = 1.0
"""Where slices are thinner than half of that, masks follow millimetres, not slices (docs/decisions/0161)."""

_SLAB = 32
"""Slices at a time, so that there is never a second copy of the whole volume."""

_ROUNDING = 1e-3
"""A slice is not averaged for a thousandth of what it lacks."""

_NO_ANGLE = 1e-100
"""A smaller direction cosine counts as zero."""
_NO_MOTION = sitk.Transform()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class PlaneGrid:
    """Square in-plane grid of a model.

    slice_mm: thinner slices are averaged until they are at least this far apart; None: all stay where they are.
    """

    spacing_mm: float
    size: int
    slice_mm: float | None = None


def to_plane_grid(volume: hd.Volume, grid: PlaneGrid) -> hd.Volume:
    """Orient to `MODEL_ORIENTATION` and resample each slice onto `grid`, centred on the body.

    volume: HU, any axis order. Returns int16 HU, shape (slices, size, size); air where the source has no data.
    Pixels finer than the grid's are smoothed first, so that noise is averaged and not sampled.
    """
    oriented = volume.to_patient_orientation(MODEL_ORIENTATION)
    oriented = thicker(oriented, slices_in_one(float(oriented.spacing[0]), grid.slice_mm))
    row, column = _body_centre(oriented)
    half = (grid.size - 1) / 2 * grid.spacing_mm
    _, to_back, to_left = oriented.unit_vectors()
    centre = oriented.affine[:3] @ [0.0, row, column, 1.0]
    target = _empty(
        oriented,
        (oriented.spatial_shape[0], grid.size, grid.size),
        (oriented.spacing[0], grid.spacing_mm, grid.spacing_mm),
        centre - half * (to_back + to_left),
    )
    hu = np.empty(target.spatial_shape, np.int16)
    for first in range(0, len(hu), _SLAB):
        some = slice(first, min(first + _SLAB, len(hu)))
        fine = oriented[some]
        hu[some] = np.rint(_resampled(fine.with_array(smoothed(fine, grid.spacing_mm)), target[some], AIR_HU))
    return target.with_array(hu)


def slices_in_one(from_slice_to_slice_mm: float, least_mm: float | None) -> int:
    """How many slices are averaged so that they are at least `least_mm` apart; 1 without a limit."""
    return 1 if least_mm is None else max(1, math.ceil(least_mm / from_slice_to_slice_mm - _ROUNDING))


def thicker(volume: hd.Volume, count: int) -> hd.Volume:
    """Each `count` slices (first axis) averaged to one in their middle; the last slice completes the last one."""
    if count == 1:
        return volume
    firsts = range(0, volume.spatial_shape[0], count)
    middle = volume.affine[:3] @ [(count - 1) / 2, 0.0, 0.0, 1.0]
    spacing = (volume.spacing[0] * count, *volume.spacing[1:])
    grid = _empty(volume, (len(firsts), *volume.spatial_shape[1:]), spacing, middle)
    array = np.empty(grid.spatial_shape, np.float32)
    for number, first in enumerate(firsts):
        group = volume.array[first : first + count]
        lacking = count - len(group)
        array[number] = (group.sum(0, dtype=np.float32) + np.float32(lacking) * group[-1]) / np.float32(count)
    return grid.with_array(array)


def to_box(volume: hd.Volume, size: int | tuple[int, int, int]) -> hd.Volume:
    """Stretch the whole of `volume` onto `size` voxels by linear interpolation; same axes and dtype.

    size: along each axis, one number for all three.
    """
    voxels = (size, size, size) if isinstance(size, int) else size
    spacing = np.array(volume.spacing) * volume.spatial_shape / voxels
    axes = np.stack(volume.unit_vectors(), axis=1)
    corner = volume.affine[:3] @ [-0.5, -0.5, -0.5, 1.0]
    box = _empty(volume, voxels, spacing.tolist(), corner + axes @ (spacing / 2))
    return box.with_array(_resampled(volume, box, 0.0))


def to_spacing(volume: hd.Volume, spacing_mm: tuple[float, float, float]) -> hd.Volume:
    """Orient to `MODEL_ORIENTATION` and resample the whole of `volume` to a spacing, by cubic B-splines.

    volume: HU, any axis order. spacing_mm: from slice to slice, row to row, column to column. Returns int16 HU over the
    same extent. What is finer than the new grid is averaged first: whole slices, then what is left by a low pass.
    """
    oriented = volume.to_patient_orientation(MODEL_ORIENTATION)
    oriented = thicker(oriented, max(1, math.floor(spacing_mm[0] / oriented.spacing[0] + _ROUNDING)))
    target = grid_over(oriented, spacing_mm)
    hu = _resampled(oriented.with_array(_low_passed(oriented, spacing_mm)), target, AIR_HU, sitk.sitkBSpline)
    limits = np.iinfo(np.int16)
    return target.with_array(np.rint(hu).clip(limits.min, limits.max).astype(np.int16))


def grid_over(volume: hd.Volume, spacing_mm: tuple[float, float, float]) -> hd.Volume:
    """The empty grid of that spacing that covers `volume`, with its axes, and as little more as possible."""
    extent_mm = np.array(volume.spatial_shape) * volume.spacing
    shape = np.ceil(extent_mm / spacing_mm - _ROUNDING).astype(int)
    axes = np.stack(volume.unit_vectors(), axis=1)
    middle = volume.affine[:3] @ [*((np.array(volume.spatial_shape) - 1) / 2), 1.0]
    return _empty(volume, shape.tolist(), spacing_mm, middle - axes @ ((shape - 1) / 2 * spacing_mm))


def resample_like(volume: hd.Volume, reference: hd.Volume) -> NDArray[Any]:
    """Linear interpolation of `volume` at the voxels of `reference`, 0 outside; keeps the dtype of `volume`.

    The inverse of `to_plane_grid` for what a model says: give it the model's output on the model's grid.
    Of UINT8 on thin slices, some are interpolated from those at most `THIN_MM` apart.
    """
    every = in_thin(reference) if volume.dtype == np.uint8 else 1
    if every == 1:
        return _resampled(volume, reference, 0.0)
    known = _resampled(volume, reference[::every], 0.0)
    found = np.empty(reference.spatial_shape, np.uint8)
    last = (len(known) - 1) * every
    _interpolate(known, every, found[: last + 1])
    if last + 1 < len(found):
        found[last + 1 :] = _resampled(volume, reference[last + 1 :], 0.0)
    return found


def in_thin(volume: hd.Volume) -> int:
    """How many of a volume's slices (first axis) together are at most `THIN_MM` thick; 1 if one is thicker."""
    return max(1, int(THIN_MM / float(volume.spacing[0])))


def _interpolate(known: NDArray[np.uint8], every: int, found: NDArray[np.uint8]) -> None:
    """Fill `found`, of which each `every`-th slice is known: linearly, in whole numbers."""
    for number, plane in enumerate(found):
        before, part = divmod(number, every)
        if part == 0:
            plane[:] = known[before]
        else:
            total = known[before] * np.uint16(every - part) + known[before + 1] * np.uint16(part)
            plane[:] = (total + np.uint16(every // 2)) // np.uint16(every)


def reach(part: hd.Volume, source: hd.Volume) -> Box:
    """The box of `source` outside which `resample_like` can find nothing of `part`, at least one voxel wide."""
    corners = list(product(*((-1.0, float(size)) for size in part.spatial_shape)))
    there = source.map_reference_to_indices(part.map_indices_to_reference(np.array(corners)))
    low, high = np.floor(there.min(0)).astype(int), np.ceil(there.max(0)).astype(int)
    last = np.array(source.spatial_shape) - 1
    return tuple(
        slice(start, stop + 1)
        for start, stop in zip(np.clip(low, 0, last).tolist(), np.clip(high, 0, last).tolist(), strict=True)
    )


def smoothed(volume: hd.Volume, spacing_mm: float) -> NDArray[np.float32]:
    """The volume's array, low-passed in-plane to what `spacing_mm` can carry.

    Bit for bit what `sitk.DiscreteGaussian` makes of it, at a tenth of its time: columns first, float32 in between.
    """
    rows, columns = (_low_pass(pixel_mm, spacing_mm) for pixel_mm in volume.spacing[1:])
    smooth = np.empty(volume.spatial_shape, np.float32)

    def smooth_plane(number: int) -> None:
        plane = np.asarray(volume.array[number], np.float32)
        along = ndimage.correlate1d(plane, columns, 1, np.float32, "nearest")
        ndimage.correlate1d(along, rows, 0, smooth[number], "nearest")

    with ThreadPoolExecutor() as threads:
        list(threads.map(smooth_plane, range(len(smooth))))
    return smooth


def _low_passed(volume: hd.Volume, spacing_mm: tuple[float, float, float]) -> NDArray[np.float32]:
    """The volume's array, low-passed along each axis to what `spacing_mm` can carry."""
    passed = volume.array.astype(np.float32)
    for axis, (now_mm, wanted_mm) in enumerate(zip(volume.spacing, spacing_mm, strict=True)):
        taps = _low_pass(now_mm, wanted_mm)
        if len(taps) > 1:
            passed = ndimage.correlate1d(passed, taps, axis, np.float32, "nearest")
    return passed


def _resampled(
    volume: hd.Volume, reference: hd.Volume, outside: float, interpolator: int = sitk.sitkLinear
) -> NDArray[Any]:
    """Interpolation at the voxels of `reference`; keeps the dtype.

    An image's axes are the array's from last to first, so that neither has to be turned around in memory.
    """
    image = sitk.GetImageFromArray(volume.array)
    image.SetOrigin(volume.position)  # type: ignore[no-untyped-call]
    image.SetSpacing(volume.spacing[::-1])  # type: ignore[no-untyped-call]
    image.SetDirection(_direction(volume))  # type: ignore[no-untyped-call]
    moved = sitk.Resample(
        image,
        reference.spatial_shape[::-1],
        _NO_MOTION,
        interpolator,
        reference.position,
        reference.spacing[::-1],
        _direction(reference),
        outside,
    )
    return sitk.GetArrayFromImage(moved)


def _direction(volume: hd.Volume) -> list[float]:
    """Direction cosines in ITK's order of axes. From subnormal numbers ITK makes positions that are not a number."""
    cosines = volume.direction[:, ::-1].flatten()
    found: list[float] = (cosines * (np.abs(cosines) >= _NO_ANGLE)).tolist()
    return found


def _empty(like: hd.Volume, shape: Sequence[int], spacing: Sequence[float], position: NDArray[np.float64]) -> hd.Volume:
    """Another grid with the axes of `like`."""
    return hd.Volume.from_components(
        np.zeros(shape, np.uint8),
        spacing=spacing,
        coordinate_system="PATIENT",
        position=position.tolist(),
        direction=like.direction.flatten().tolist(),
        frame_of_reference_uid=like.frame_of_reference_uid,
    )


def _low_pass(pixel_mm: float, spacing_mm: float) -> NDArray[np.float64]:
    """SimpleITK's discrete Gaussian: its answer to an impulse."""
    # A pixel box of the coarse grid minus one of the fine grid, as Gaussian variances (box of width w: w^2 / 12).
    variance = max(0.0, (spacing_mm**2 - pixel_mm**2) / 12.0) / pixel_mm**2
    impulse = np.zeros((1, 2 * _WIDEST + 1))
    impulse[0, _WIDEST] = 1.0
    answer = sitk.DiscreteGaussian(sitk.GetImageFromArray(impulse), [variance, 0.0], _WIDEST, 0.01, False)
    taps: NDArray[np.float64] = sitk.GetArrayFromImage(answer)[0]
    return taps[taps > 0.0]


def _body_centre(volume: hd.Volume) -> tuple[float, float]:
    """Row and column (fractional indices) of the body's centre of mass; the image centre if there is no body."""
    shadow = np.zeros(volume.spatial_shape[1:], np.int64)
    for plane in volume.array:
        shadow += plane > BODY_HU
    total = shadow.sum()
    rows, columns = shadow.shape
    if total == 0:
        return (rows - 1) / 2, (columns - 1) / 2
    return float(shadow.sum(1) @ np.arange(rows) / total), float(shadow.sum(0) @ np.arange(columns) / total)
