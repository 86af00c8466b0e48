"""Random changes of patches: other patients, breaths, scanners, and lungs that are cut out a little wider or tighter.

All tensors are (batch, slice, row, column). Flip, pan and zoom are those of `placed`; density and scanners are those of
the other networks (`models.lung_opacity.augment`, `models.opacity_context.augment`).
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from models.lung_opacity.augment import appearance, placement, uniform, with_clouds
from models.opacity_context.augment import breathed_out, moving

from .volumes import AIR_HU

_ROUGH = (3, 7, 7)
"""Voxels that decide where the random border of the lungs runs: 3.75 and 3 mm to either side."""


def augment(hu: Tensor, lung: Tensor, lesion: Tensor, random: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Returns HU with air outside the lungs, those lungs, and the lesion inside them. hu: float HU; others: float 0/1.

    The lungs are cut out up to a few mm too wide or too tight, as those that the service finds are.
    """
    hu = breathed_out(moving(hu, random), lung, random)
    hu, lesion = with_clouds(hu, lung, lesion, _cloud(hu.shape, random), random)
    seen = recut(lung, random)
    return only_lung(appearance(hu, random), seen), seen, lesion * seen


def only_lung(hu: Tensor, lung: Tensor) -> Tensor:
    """Air wherever `lung` is 0."""
    return torch.where(lung > 0, hu, float(AIR_HU))


def recut(mask: Tensor, random: Generator) -> Tensor:
    """The mask a little wider or tighter, by another amount in each example; small holes are filled or opened."""
    share = F.avg_pool3d(mask[:, None], _ROUGH, 1, tuple(side // 2 for side in _ROUGH))[:, 0]
    return (share >= uniform((len(mask), 1, 1, 1), 0.2, 0.75, random)).float()


def placed(
    hu: Tensor, masks: Tensor, centre: Tensor, shape: tuple[int, int, int], zoom: Tensor, random: Generator | None
) -> tuple[Tensor, Tensor]:
    """A patch of a volume, by linear interpolation: float HU (slice, row, column) and masks 0/1 (mask, ...).

    hu: (slice, row, column). masks: uint8 0/1 (mask, slice, row, column). centre: of the patch, in the volume's voxels.
    zoom: voxels of the volume per voxel of the patch, along each axis. random: turns and mirrors in the plane (see
    `placement`) and zooms by 0.8 to 1.25; None: the patch as it is. What lies outside the volume is air.
    """
    matrix = torch.diag(zoom)
    if random is not None:
        matrix[1:, 1:] = placement(1, random, 1.0)[0, :, :2].flip(0, 1) * zoom[1:]
        matrix[0, 0] = zoom[0] * math.exp(float(uniform((), math.log(0.8), math.log(1.25), random)))
    half = matrix.abs() @ (torch.tensor(shape) / 2.0)
    sides = torch.tensor(hu.shape)
    low = (centre - half).floor().long().clamp_min(0).minimum(sides - 1)
    high = ((centre + half).ceil().long() + 1).minimum(sides).maximum(low + 1)
    block = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    there = hu.device
    steps = [torch.arange(side, device=there) - (side - 1) / 2 for side in shape]
    at = torch.stack(torch.meshgrid(*steps, indexing="ij"), -1) @ matrix.T.to(there) + (centre - low).to(there)
    grid = (2.0 * (at + 0.5) / (high - low).to(there) - 1.0).flip(-1)[None]
    parts = torch.cat([hu[block][None].float() - AIR_HU, masks[:, *block].float()])
    moved = F.grid_sample(parts[None], grid, align_corners=False)[0]
    return moved[0] + AIR_HU, (moved[1:] >= 0.5).float()


def _cloud(shape: torch.Size, random: Generator) -> Tensor:
    """Noise in lumps of 8 to 40 mm, as `with_clouds` wants it."""
    batch, slices, rows, columns = shape
    cloud = torch.zeros((batch, 1, slices, rows // 4, columns // 4))
    for deep, n, weight in ((4, 4, 1.4), (8, 8, 0.8), (20, 16, 0.3)):
        lumps = torch.randn((batch, 1, deep, n, n), generator=random)
        cloud = cloud + weight * F.interpolate(lumps, cloud.shape[2:], mode="trilinear")
    return cloud[:, 0]
