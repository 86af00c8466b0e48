"""Shapes of made-up tumours: lumpy ellipsoids with spikes, as a distance from their surface."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Box:
    """Voxels around a point. offset: mm from it, axes (3: slice, row, column; slice; row; column)."""

    offset: Field
    spacing_mm: tuple[float, float, float]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.offset.shape[1:]

    @property
    def distance(self) -> Field:
        return np.asarray(np.sqrt((self.offset**2).sum(0)))


def turned(random: Generator) -> Field:
    """A random rotation, (3, 3)."""
    q, r = np.linalg.qr(random.normal(size=(3, 3)))
    return np.asarray(q * np.sign(np.diag(r)), np.float32)


def lumps(random: Generator, box: Box, scale_mm: float) -> Field:
    """Smooth noise of mean 0 and deviation 1, in lumps of about this size."""
    coarse = [max(2, round(n * mm / scale_mm) + 2) for n, mm in zip(box.shape, box.spacing_mm, strict=True)]
    fine = [n / c for n, c in zip(box.shape, coarse, strict=True)]
    noise = ndimage.zoom(random.normal(size=coarse).astype(np.float32), fine, order=1, grid_mode=True, mode="nearest")
    noise = ndimage.uniform_filter(noise, [max(1, round(f)) for f in fine])
    return np.asarray((noise - noise.mean()) / max(float(noise.std()), 1e-3), np.float32)


def body(random: Generator, box: Box, radius_mm: float) -> Field:
    """About how deep each voxel lies under the surface of a tumour of this mean radius, mm; negative outside."""
    ratios = np.exp(random.uniform(-0.3, 0.3, 3))
    ratios /= np.prod(ratios) ** (1 / 3)
    along = np.tensordot(turned(random), box.offset, 1) / ratios[:, None, None, None].astype(np.float32)
    depth = radius_mm - np.sqrt((along**2).sum(0))
    depth += radius_mm * random.uniform(0.0, 0.25) * lumps(random, box, radius_mm * random.uniform(0.5, 1.2))
    depth += random.uniform(0.0, 1.5) * lumps(random, box, 6.0)
    if random.random() < 0.4:
        depth = np.maximum(depth, _spikes(random, box, radius_mm))
    return np.asarray(depth, np.float32)


def _spikes(random: Generator, box: Box, radius_mm: float) -> Field:
    """Cones that stand on the body in random directions."""
    depth = np.full(box.shape, -100.0, np.float32)
    square = (box.offset**2).sum(0)
    for _ in range(int(random.integers(4, 16))):
        axis = turned(random)[0]
        thick, reach = random.uniform(1.5, 4.0), radius_mm + min(15.0, radius_mm * random.uniform(0.2, 0.9))
        along = np.tensordot(axis, box.offset, 1)
        beside = np.sqrt(np.maximum(square - along**2, 0.0))
        depth = np.where(along > 0, np.maximum(depth, thick * (1.0 - along / reach) - beside), depth)
    return depth


def share_of(depth: Field, soft_mm: float) -> Field:
    """How much of each voxel the body fills, 0-1: its edge is this wide."""
    return np.asarray(np.clip(0.5 + depth / soft_mm, 0.0, 1.0), np.float32)
