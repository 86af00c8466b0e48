"""The augmentation of Topff 2023 for volumes: noise, 3D rotation, elastic deformation, scale, mirrors.

The paper gives the ranges of noise, elastic deformation and scale; angle and chance of each mirror are ours.
"""

import math

import numpy as np
import torch
from scipy.ndimage import gaussian_filter
from torch import Generator, Tensor
from torch.nn import functional as F

NOISE_VARIANCE = (0.0, 0.015)
"""Of images 0-1."""

ROTATION_DEG = 10.0
"""Largest angle about each axis."""

SCALE = (0.9, 1.1)
ELASTIC_ALPHA, ELASTIC_SIGMA = (0.0, 100.0), (8.0, 13.0)
"""Voxels: displacements are noise uniform in [-1, 1], smoothed by a Gaussian of sigma and multiplied by alpha (Simard
et al., Best practices for convolutional neural networks, 2003)."""

_COARSE = 4

MIRROR = 0.5
VOXEL_MM = (5.0, 1.7, 1.7)
"""About the voxels of the classifier's grid: rotations are of the patient, not of unequal voxels."""


def augment(image: Tensor, lungs: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
    """One case: image 0-1 and lungs 0/1, float, both (1, slices, rows, columns). Returns the same shapes.

    Image by linear interpolation, lungs by the nearest voxel; the image's border is continued outside it.
    """
    shape = image.shape[1:]
    grid = F.affine_grid(_placement(shape, random)[None], [1, 1, *shape], align_corners=False)
    grid = grid + _elastic(shape, random)
    moved = F.grid_sample(image[None], grid, padding_mode="border", align_corners=False)[0]
    lungs = F.grid_sample(lungs[None], grid, mode="nearest", align_corners=False)[0]
    variance = _uniform(NOISE_VARIANCE, random)
    return moved + math.sqrt(variance) * torch.randn(moved.shape, generator=random), lungs


def _uniform(limits: tuple[float, float], random: Generator) -> float:
    low, high = limits
    return low + (high - low) * float(torch.rand((), generator=random))


def _placement(shape: torch.Size, random: Generator) -> Tensor:
    """Affine matrix (3, 4) in the coordinates of `affine_grid` (x columns, y rows, z slices, each -1 to 1)."""
    linear = torch.eye(3)
    for first, second in ((0, 1), (0, 2), (1, 2)):
        angle = math.radians(_uniform((-ROTATION_DEG, ROTATION_DEG), random))
        turn = torch.eye(3)
        turn[first, first] = turn[second, second] = math.cos(angle)
        turn[first, second], turn[second, first] = -math.sin(angle), math.sin(angle)
        linear = turn @ linear
    linear = linear / _uniform(SCALE, random)
    mirrors = [1.0] + [-1.0 if _uniform((0.0, 1.0), random) < MIRROR else 1.0 for _ in "yz"]
    linear = linear @ torch.diag(torch.tensor(mirrors))
    half_mm = torch.tensor([n * mm / 2 for n, mm in zip(reversed(shape), reversed(VOXEL_MM), strict=True)])
    return torch.cat([linear * half_mm / half_mm[:, None], torch.zeros(3, 1)], 1)


def _elastic(shape: torch.Size, random: Generator) -> Tensor:
    """Displacements, shape (1, slices, rows, columns, 3), last axis and units as in `affine_grid`."""
    voxels = _uniform(ELASTIC_ALPHA, random) * smooth_noise(shape, _uniform(ELASTIC_SIGMA, random), random)
    return voxels.movedim(0, -1)[None] * (2.0 / torch.tensor(list(reversed(shape))))


def smooth_noise(shape: torch.Size, sigma: float, random: Generator) -> Tensor:
    """Three fields, shape (3, *shape), of noise uniform in [-1, 1] smoothed by a Gaussian of `sigma` voxels.

    Drawn on a grid `_COARSE` times coarser (64 times less work), where smoothing leaves that much more of the noise.
    """
    coarse = [math.ceil(n / _COARSE) for n in shape]
    noise = (torch.rand((3, *coarse), generator=random) * 2 - 1).numpy() / _COARSE**1.5
    smooth = np.stack([gaussian_filter(field, sigma / _COARSE, mode="nearest") for field in noise])
    return F.interpolate(torch.from_numpy(smooth)[None], tuple(shape), mode="trilinear")[0]
