"""A bank of made-up lesions in real CTs: tumours, and what looks like them and is none.

Each is a box of a CT in which HU were changed. Everything random comes from the seed, so a bank can be made anew.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

from . import beside, tissue
from .bodies import Box, Field, body, share_of
from .data import Volume
from .transplant import Donor, placed

NOTHING, TUMOUR, UNKNOWN, AS_BEFORE = 0, 1, 2, 255
"""What a voxel of a lesion is."""

LEAST_RADIUS_MM, MOST_RADIUS_MM = 3.0, 50.0

_BONE_HU = 180.0
"""Brighter voxels outside the lung stay as they are."""

_TRANSPLANTED, _ALONE, _BESIDE = 0.5, 0.15, 0.25
"""Parts of the lesions that are real tumours moved, that are no tumours, and of the tumours that have something beside
them."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesion:
    """volume: number of the CT. corner: of the box in it. hu: int16, state: uint8, both (slice, row, column)."""

    volume: int
    corner: tuple[int, int, int]
    hu: NDArray[np.int16]
    state: NDArray[np.uint8]

    @property
    def slices(self) -> slice:
        return slice(self.corner[0], self.corner[0] + len(self.hu))


@dataclass(frozen=True, slots=True, eq=False)
class Host:
    """A CT to put lesions into. off, deep: mm outside and inside of the lung. points: voxels of lung, (n, 3)."""

    volume: Volume
    off: Field
    deep: Field
    points: NDArray[np.int64]


def host(volume: Volume) -> Host:
    off = ndimage.distance_transform_edt(~volume.lung, sampling=volume.spacing_mm).astype(np.float32)
    deep = ndimage.distance_transform_edt(volume.lung, sampling=volume.spacing_mm).astype(np.float32)
    free = volume.lung & ~ndimage.binary_dilation(volume.tumour, iterations=8) if volume.tumour.any() else volume.lung
    return Host(volume, off, deep, np.argwhere(free)[::7])


def made(
    seed: int, count: int, volumes: Sequence[Volume], donors: Sequence[Donor], generous: bool = False
) -> list[Lesion]:
    """A bank of `count` lesions. generous: `_outlined`."""
    hosts = [host(volume) for volume in volumes]
    lesions = list[Lesion]()
    for number in range(count):
        random = np.random.default_rng((seed, number))
        chosen = int(random.integers(len(hosts)))
        lesions.append(_lesion(random, chosen, hosts[chosen], donors, generous))
    return lesions


def _lesion(random: Generator, number: int, there: Host, donors: Sequence[Donor], generous: bool) -> Lesion:
    radius = float(np.exp(random.uniform(np.log(LEAST_RADIUS_MM), np.log(MOST_RADIUS_MM))))
    point = _point(random, there, radius)
    around = radius * 1.5 + random.uniform(10.0, 40.0)
    part, box = _box(there.volume, point, around)
    hu = there.volume.hu[part].astype(np.float32)
    state = np.full(box.shape, AS_BEFORE, np.uint8)
    lung = np.clip(1.0 - there.off[part] / 3.0, 0.0, 1.0)
    alone = random.random() < _ALONE
    if alone or random.random() < _BESIDE:
        share = lung * beside.share(random, box, radius, there.deep[part])
        hu += share * (tissue.airless(random, box) - hu)
        state[share > 0.3] = NOTHING
    if not alone:
        into = random.uniform(0.0, 3.0) if random.random() < 0.75 else random.uniform(3.0, 15.0)
        found, share, outlined = _tumour(random, box, radius, donors)
        share = share * np.clip((into - there.off[part]) / 2.0 + 0.5, 0.0, 1.0)
        share[(hu > _BONE_HU) & (there.off[part] > 2.0)] = 0.0
        hu += share * (found - hu)
        state[_outlined(share) if generous and not outlined else share >= 0.5] = TUMOUR
    changed = np.rint(hu.clip(-1024.0, 3000.0)).astype(np.int16)
    corner = tuple(one.start for one in part)
    return Lesion(number, (corner[0], corner[1], corner[2]), changed, state)


def _outlined(share: Field) -> NDArray[np.bool_]:
    """A body as an expert would outline it, about a pixel outside the edge of soft tissue and over notches.

    In the outermost 2 mm of the outlines of LUNG1 and MSD, where they face lung, 26 to 42 % of the pixels are soft.
    """
    return np.asarray(ndimage.gaussian_filter(share, (0.3, 1.0, 1.0)) >= 0.3)


def _tumour(random: Generator, box: Box, radius: float, donors: Sequence[Donor]) -> tuple[Field, Field, bool]:
    """HU and share of a tumour, and whether an expert outlined it."""
    if donors and random.random() < _TRANSPLANTED:
        whole = [donor for donor in donors if not donor.flat]
        flat = [donor for donor in donors if donor.flat]
        among = whole if whole and (not flat or random.random() < 0.4) else flat
        hu, share = placed(random, among[int(random.integers(len(among)))], box, radius)
        hu = hu + random.uniform(0.0, 15.0) * tissue.grain(random, box) + random.uniform(-30.0, 30.0)
        return np.asarray(hu, np.float32), share, True
    depth = body(random, box, radius)
    return tissue.tumour(random, box, depth, radius), share_of(depth, random.uniform(1.5, 4.0)), False


def _point(random: Generator, there: Host, radius: float) -> NDArray[np.int64]:
    """A voxel of lung; in half of the cases one that is nearer to its edge than the tumour is thick."""
    some = there.points[random.integers(len(there.points), size=200)]
    if random.random() < 0.5:
        near = there.deep[tuple(some.T)] < 0.8 * radius
        some = some[near] if near.any() else some
    return np.asarray(some[0])


def _box(volume: Volume, point: NDArray[np.int64], around_mm: float) -> tuple[tuple[slice, ...], Box]:
    """The part of the CT around a voxel, and where its voxels lie."""
    half = [int(np.ceil(around_mm / mm)) for mm in volume.spacing_mm]
    part = tuple(
        slice(max(0, int(p) - h), min(n, int(p) + h + 1)) for p, h, n in zip(point, half, volume.hu.shape, strict=True)
    )
    axes = [(np.arange(s.start, s.stop) - p) * mm for s, p, mm in zip(part, point, volume.spacing_mm, strict=True)]
    offset = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
    return part, Box(offset, volume.spacing_mm)
