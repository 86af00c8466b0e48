"""Between a CT's own grid and a model's grid, both ways. The only place that resamples with SimpleITK.

Every volume carries its affine to the patient's LPS frame, so there is no special case for prone, feet-first or
reversed series: the way there orients and resamples by the affine, the way back resamples onto the source's affine.
"""

from dataclasses import dataclass
from typing import Any

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from scipy import ndimage

MODEL_ORIENTATION = "FPL"
"""Slices run to the feet, rows to the back, columns to the left (PS3.3 C.7.6.1.1.1): an axial head-first supine CT."""

AIR_HU = -1024.0
BODY_HU = -300.0
"""Above it lie skin, fat, soft tissue and bone; below it air, clothes, most of the table and of the lungs."""


_WIDEST = 9
"""Taps of the low pass at most."""

_NO_MOTION = sitk.Transform()  # type: ignore[no-untyped-call]


@dataclass(frozen=True, slots=True)
class PlaneGrid:
    """Square in-plane grid of a 2D model; slices stay where they are."""

    spacing_mm: float
    size: int


def to_plane_grid(volume: hd.Volume, grid: PlaneGrid) -> hd.Volume:
    """Orient to `MODEL_ORIENTATION` and resample each slice onto `grid`, centred on the body.

    volume: HU, any axis order. Returns int16 HU, shape (slices, size, size); air where the source has no data.
    Pixels finer than the grid's are smoothed first, so that noise is averaged and not sampled.
    """
    oriented = volume.to_patient_orientation(MODEL_ORIENTATION)
    row, column = _body_centre(oriented)
    half = (grid.size - 1) / 2 * grid.spacing_mm
    _, to_back, to_left = oriented.unit_vectors()
    centre = oriented.affine[:3] @ [0.0, row, column, 1.0]
    moved = sitk.Resample(
        smoothed(oriented, grid.spacing_mm),
        [oriented.spatial_shape[0], grid.size, grid.size],
        _NO_MOTION,
        sitk.sitkLinear,
        (centre - half * (to_back + to_left)).tolist(),
        [oriented.spacing[0], grid.spacing_mm, grid.spacing_mm],
        oriented.direction.flatten().tolist(),
        AIR_HU,
    )
    result = hd.Volume.from_simpleitk(moved, frame_of_reference_uid=volume.frame_of_reference_uid)
    return result.with_array(np.ascontiguousarray(np.rint(result.array).astype(np.int16)))


def to_box(volume: hd.Volume, size: int | tuple[int, int, int]) -> hd.Volume:
    """Stretch the whole of `volume` onto `size` voxels by linear interpolation; same axes and dtype.

    size: along each axis, one number for all three.
    """
    voxels = (size, size, size) if isinstance(size, int) else size
    spacing = np.array(volume.spacing) * volume.spatial_shape / voxels
    axes = np.stack(volume.unit_vectors(), axis=1)
    corner = volume.affine[:3] @ [-0.5, -0.5, -0.5, 1.0]
    box = hd.Volume.from_components(
        np.zeros(voxels, np.uint8),
        spacing=spacing.tolist(),
        coordinate_system="PATIENT",
        position=(corner + axes @ (spacing / 2)).tolist(),
        direction=volume.direction.flatten().tolist(),
        frame_of_reference_uid=volume.frame_of_reference_uid,
    )
    return box.with_array(resample_like(volume, box))


def resample_like(volume: hd.Volume, reference: hd.Volume) -> NDArray[Any]:
    """Linear interpolation of `volume` at the voxels of `reference`, 0 outside; keeps the dtype of `volume`.

    The inverse of `to_plane_grid` for what a model says: give it the model's output on the model's grid.
    """
    moved = sitk.Resample(
        volume.to_simpleitk(),
        list(reference.spatial_shape),
        _NO_MOTION,
        sitk.sitkLinear,
        list(reference.position),
        list(reference.spacing),
        reference.direction.flatten().tolist(),
        0.0,
    )
    return np.ascontiguousarray(sitk.GetArrayViewFromImage(moved).transpose(2, 1, 0))


def smoothed(volume: hd.Volume, spacing_mm: float) -> sitk.Image:
    """The volume as an image, low-passed in-plane to what `spacing_mm` can carry.

    Bit for bit what `sitk.DiscreteGaussian` makes of it, at a sixth of its time: columns first, float32 in between.
    """
    rows, columns = (_low_pass(pixel_mm, spacing_mm) for pixel_mm in volume.spacing[1:])
    smooth = np.empty(volume.spatial_shape, np.float32)
    for plane, done in zip(volume.array, smooth, strict=True):
        along = ndimage.correlate1d(np.asarray(plane, np.float32), columns, 1, np.float32, "nearest")
        ndimage.correlate1d(along, rows, 0, done, "nearest")
    image: sitk.Image = volume.with_array(smooth).to_simpleitk()
    return image


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
