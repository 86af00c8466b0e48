"""Real tumours, to be put into other CTs: whole ones of LUNG1, and pictures of MSD that are rounded off to bodies."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from .bodies import Box, Field, lumps, turned
from .data import Volume

_AROUND = 3
"""Voxels around a tumour that are cut out with it."""

_LEAST_PIXELS = 20
"""Smaller outlines of MSD are not transplanted."""


@dataclass(frozen=True, slots=True, eq=False)
class Donor:
    """A real tumour. hu: continued beyond its edge. share: 0-1. Axes (slice, row, column), of one slice for a picture.

    radius_mm: of a ball as large, or of a disc as large as a picture.
    """

    hu: Field
    share: Field
    spacing_mm: tuple[float, float, float]
    radius_mm: float

    @property
    def flat(self) -> bool:
        return len(self.hu) == 1


def donors(volumes: Sequence[Volume], hu: NDArray[np.int16], tumour: NDArray[np.bool_]) -> list[Donor]:
    """Tumours of CTs, one each, and of pictures (picture, row, column) with 2 mm pixels."""
    found = [_whole(volume) for volume in volumes if volume.tumour.any()]
    spacing = (1.0, 2.0, 2.0)
    for plane, mask in zip(hu, tumour, strict=True):
        if mask.sum() >= _LEAST_PIXELS:
            radius = 2.0 * float(np.sqrt(mask.sum() / np.pi))
            found.append(Donor(*_cut(plane[None], mask[None], 0), spacing, radius))
    return found


def _whole(volume: Volume) -> Donor:
    box = ndimage.find_objects(volume.tumour.astype(np.uint8))[0]
    wide = tuple(slice(max(0, part.start - _AROUND), part.stop + _AROUND) for part in box)
    ml = volume.tumour.sum() * float(np.prod(volume.spacing_mm)) / 1000.0
    radius = (ml * 1000.0 * 3 / 4 / np.pi) ** (1 / 3)
    return Donor(*_cut(volume.hu[wide], volume.tumour[wide], 1), volume.spacing_mm, radius)


def _cut(hu: NDArray[np.int16], mask: NDArray[np.bool_], depth: int) -> tuple[Field, Field]:
    """HU continued outwards from a voxel below the surface, where voxels are tumour only; and the mask's share."""
    cross = ndimage.generate_binary_structure(3, 1)
    if depth == 0:
        cross[[0, 2]] = False
    inner = ndimage.binary_erosion(mask, cross)
    nearest = ndimage.distance_transform_edt(
        ~(inner if inner.any() else mask), return_distances=False, return_indices=True
    )
    share = ndimage.gaussian_filter(mask.astype(np.float32), (0.5 * depth, 0.5, 0.5))
    return hu[tuple(nearest)].astype(np.float32), share


def placed(random: Generator, donor: Donor, box: Box, radius_mm: float) -> tuple[Field, Field]:
    """A tumour turned, bent and scaled to this radius in a box: HU and share."""
    scale = radius_mm / donor.radius_mm
    bent = box.offset + np.stack(
        [radius_mm * random.uniform(0.0, 0.2) * lumps(random, box, 1.2 * radius_mm) for _ in "zyx"]
    )
    at = np.tensordot(_rotation(random, donor.flat), bent, 1) / np.float32(scale)
    inside = np.ones(box.shape, np.float32)
    if donor.flat:
        height = at[0] / (donor.radius_mm * random.uniform(0.7, 1.3))
        left = np.sqrt(np.maximum(1.0 - height**2, 1e-4))
        inside = np.clip((1.0 - np.abs(height)) * radius_mm / 2.0, 0.0, 1.0)
        at = np.stack([np.zeros_like(left), at[1] / left, at[2] / left])
    middle = ndimage.center_of_mass(donor.share)
    where = [a / mm + m for a, mm, m in zip(at, donor.spacing_mm, middle, strict=True)]
    hu = ndimage.map_coordinates(donor.hu, where, order=1, mode="nearest")
    share = ndimage.map_coordinates(donor.share, where, order=1, mode="constant")
    return hu, np.asarray(share * inside, np.float32)


def _rotation(random: Generator, flat: bool) -> Field:
    """Any for a whole tumour, mirror images too; one about the body's axis and a little tilt for a picture."""
    if not flat:
        return turned(random)
    angle = random.uniform(0.0, 2.0 * np.pi)
    about = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    q, r = np.linalg.qr(np.eye(3) + 0.25 * random.normal(size=(3, 3)))
    return np.asarray(q * np.sign(np.diag(r)) @ about, np.float32)
