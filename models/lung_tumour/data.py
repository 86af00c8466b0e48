"""Training CTs on the model's grid, read through the service's own harmonisation and lung field (no skew)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.opacity_context.data import ball, grouped
from service.imaging.harmonise import resample_like
from service.imaging.lung_field import lung_field
from service.pipelines.shared.slices import plane_grid_of

from . import series
from .spec import SPEC

LESION_MM = 30.0
"""Nearer to a known nodule that nobody outlined nothing is known."""

AIR_BELOW_HU = -400.0

EDGE_MM = 60.0
"""Distances from the edge of the field are known up to this."""

_CLOSED = 3
"""Pixels over which vessels in the air are closed."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One CT head to feet, axes (slice, row, column). hu: int16, also outside the lung field.

    edge: int8 mm from the edge of the lung field in the slice's plane, positive inside. lung: where a made-up tumour
    may begin. tumour: outlined. known: where it is known whether there is tumour. slice_mm: from slice to slice.
    """

    name: str
    slice_mm: float
    hu: NDArray[np.int16]
    edge: NDArray[np.int8]
    lung: Mask
    tumour: Mask
    known: Mask

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        assert SPEC.spacing_mm is not None
        return self.slice_mm, SPEC.spacing_mm, SPEC.spacing_mm


def read(data: Path, name: str) -> Volume:
    """A CT of `series`. data: folder with train/ and dicom/."""
    ct, outlined = series.read(data, name)
    grid = plane_grid_of(ct, SPEC)
    field = lung_field(grid)
    tumour = np.zeros(grid.spatial_shape, np.bool_)
    if outlined is not None:
        tumour = on_grid(outlined, grid)
    known = np.ones_like(tumour)
    for lesion in series.known_lesions(name):
        known &= ~ball(grid, lesion, LESION_MM)
    lung = _lung(grid.array, field.inside) | tumour
    return Volume(name, float(grid.spacing[0]), grid.array, edge_mm(field.inside), lung, tumour, known)


def on_grid(mask: hd.Volume, grid: hd.Volume) -> Mask:
    """A mask (0 or 1) on another grid: what most of each voxel is."""
    return np.asarray(resample_like(mask.with_array(mask.array * np.uint8(100)), grid) >= 50)


def edge_mm(inside: Mask) -> NDArray[np.int8]:
    """The distance from the edge of a mask in each slice's plane, mm, positive inside, at most `EDGE_MM`."""
    assert SPEC.spacing_mm is not None
    far = np.empty(inside.shape, np.int8)
    for plane, there in zip(far, inside, strict=True):
        within = ndimage.distance_transform_edt(there) if there.any() else np.zeros(there.shape)
        without = ndimage.distance_transform_edt(~there) if there.any() else np.full(there.shape, EDGE_MM)
        plane[:] = np.rint(SPEC.spacing_mm * (within - without)).clip(-EDGE_MM, EDGE_MM)
    return far


def _lung(hu: NDArray[np.int16], inside: Mask) -> Mask:
    """Air within the field in pieces of more than 50 mL or so, vessels closed over."""
    pieces, count = ndimage.label((hu < AIR_BELOW_HU) & inside)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    air = (sizes > 4000)[pieces]
    disc = np.hypot(*np.mgrid[-_CLOSED : _CLOSED + 1, -_CLOSED : _CLOSED + 1]) <= _CLOSED
    return np.stack([ndimage.binary_closing(plane, disc) for plane in air])


def thicker(volume: Volume, count: int) -> Volume:
    """The same CT with slices `count` times as thick; a voxel is what most of it is."""
    lung, tumour = (grouped(mask, count) >= 0.5 for mask in (volume.lung, volume.tumour))
    known = grouped(volume.known, count) >= 1.0
    hu = np.rint(grouped(volume.hu, count)).astype(np.int16)
    edge = np.rint(grouped(volume.edge, count)).astype(np.int8)
    return Volume(volume.name, count * volume.slice_mm, hu, edge, lung, tumour, known)


def variants(volume: Volume) -> Sequence[Volume]:
    """The CT as scanners with other slices would show it."""
    return (volume, thicker(volume, 2)) if volume.slice_mm < 3.5 else (volume,)
