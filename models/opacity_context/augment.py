"""Random changes of stacks of slices: how other patients, breaths and scanners would look.

All tensors are (batch, slice, row, column); what changes, changes for all slices of a stack alike, but for noise and
motion.
"""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from models.lung_opacity.augment import AIR_HU, appearance, placement, sometimes, uniform, with_clouds

_SOFT_HU = 40.0


def augment(
    hu: Tensor, lung: Tensor, opacity: Tensor, supervised: Tensor, seen: float, random: Generator
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns a window of each, whose side is `seen` of the slice's. hu: float HU; the others: float 0/1."""
    hu = breathed_out(hu, lung, random)
    hu, opacity = with_opacity(hu, lung, opacity, random)
    batch, slices, n, _ = hu.shape
    size = round(seen * n)
    grid = F.affine_grid(placement(batch, random, seen), [batch, 1, size, size], align_corners=False)
    moved = F.grid_sample(hu - AIR_HU, grid, align_corners=False) + AIR_HU
    masks = F.grid_sample(torch.cat([lung, opacity, supervised], 1), grid, align_corners=False)
    lung, opacity, supervised = (masks >= 0.5).float().split(slices, 1)
    return appearance(moved, random), lung, opacity, supervised


def moving(hu: Tensor, random: Generator) -> Tensor:
    """Half of the stacks take up to 45 % of the slices next to each, as thick slices and breathing do at the dome.

    Half of those do it slice by slice, as in a patient who breathes during the scan. Masks stay right: most of each
    voxel is the slice's own.
    """
    batch, slices = hu.shape[:2]
    steady = uniform((batch, 1, 1, 1), 0.0, 1.0, random)
    changing = uniform((batch, slices, 1, 1), 0.0, 1.0, random)
    share = 0.45 * torch.where(sometimes(batch, 0.5, random) > 0, steady, changing) * sometimes(batch, 0.5, random)
    below = uniform((batch, 1, 1, 1), 0.0, 1.0, random)
    up = torch.cat([hu[:, :1], hu[:, :-1]], 1)
    down = torch.cat([hu[:, 1:], hu[:, -1:]], 1)
    return torch.lerp(hu, torch.lerp(up, down, below), share)


def breathed_out(hu: Tensor, lung: Tensor, random: Generator) -> Tensor:
    """Two fifths of the stacks as in shallow inspiration: the lung is denser, mostly at the back, without being ill.

    Up to 6 % of the way to soft tissue everywhere, and at the lungs' back mostly up to a tenth of it, seldom almost
    half: -860 HU become -800 to -400.
    """
    batch, _, size, _ = hu.shape
    rows = lung.amax((1, 3))
    there = (rows > 0).cumsum(1) * rows  # rows of lung, counted from the front; whole numbers repeat on a GPU
    depth = (there / there.amax(1, keepdim=True).clamp_min(1.0)).view(batch, 1, size, 1)
    shape = uniform((batch, 1, 1, 1), 0.8, 3.0, random)
    most = 0.45 * uniform((batch, 1, 1, 1), 0.0, 1.0, random) ** 3
    part = uniform((batch, 1, 1, 1), 0.0, 0.06, random) + most * depth**shape
    return torch.lerp(hu, hu.clamp_min(_SOFT_HU), part * lung * sometimes(batch, 0.4, random))


def with_opacity(hu: Tensor, lung: Tensor, opacity: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
    """A made-up opacity in a third of the stacks: cloudy in all three axes, mostly at the pleura and at the back.

    Half of them are as dense as muscle (docs/decisions/0016).
    """
    batch, slices, size, _ = hu.shape
    cloud = torch.zeros((batch, 1, slices, size // 4, size // 4), device=hu.device)
    for deep, n, weight in ((3, 8, 1.4), (5, 18, 0.8), (9, 50, 0.3)):
        lumps = torch.randn((batch, 1, deep, n, n), generator=random, device=hu.device)
        cloud = cloud + weight * F.interpolate(lumps, cloud.shape[2:], mode="trilinear")
    return with_clouds(hu, lung, opacity, cloud[:, 0], random)
