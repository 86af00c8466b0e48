"""Random changes of stacks of slices: how other patients, scanners and lung fields would look.

All tensors are (batch, slice or other channel, row, column).
"""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from models.lung_opacity.augment import AIR_HU, sometimes, uniform

SEEN = (128, 160)
"""Rows and columns of the windows that the network trains on."""


def placement(centre: Tensor, size: tuple[int, int], random: Generator) -> Tensor:
    """Affine matrices (batch, 2, 3) of windows of `SEEN` pixels: turned by up to 25 degrees in 60 % (paper D4), scaled
    by 0.8-1.25 and sides apart by 10 %, mirrored left-right in half, front-back in a twentieth.

    centre: (batch, 2) row and column of each window's middle. size: rows and columns of the slices.
    """
    batch = len(centre)

    def chance(p: float) -> Tensor:
        return sometimes(batch, p, random).view(-1)

    angle = uniform((batch,), -math.radians(25), math.radians(25), random) * chance(0.6)
    zoom = torch.exp(uniform((batch,), math.log(0.8), math.log(1.25), random) * chance(0.7))
    apart = torch.exp(uniform((batch,), math.log(0.95), math.log(1.05), random))
    right, back = zoom * apart * (1 - 2 * chance(0.5)), zoom / apart * (1 - 2 * chance(0.05))
    cos, sin, (rows, columns) = torch.cos(angle), torch.sin(angle), size
    middle = (2 * centre + 1) / torch.tensor(size) - 1
    x = [cos * right * SEEN[1] / columns, -sin * back * SEEN[0] / columns, middle[:, 1]]
    y = [sin * right * SEEN[1] / rows, cos * back * SEEN[0] / rows, middle[:, 0]]
    return torch.stack([torch.stack(x, 1), torch.stack(y, 1)], 1)


def augment(
    hu: Tensor, edge: Tensor, masks: Tensor, centre: Tensor, random: Generator, wide: float = 0.0
) -> tuple[Tensor, Tensor, Tensor]:
    """Windows as the service would show them: HU with air outside the lung field, the tumour, and where it is known.

    hu: float HU. edge: mm inside the lung field. masks: 0/1, tumour and known of the slice in the middle. wide: part of
    the examples whose field is much too wide.
    """
    batch, slices, *size = hu.shape
    grid = F.affine_grid(placement(centre, (size[0], size[1]), random), [batch, 1, *SEEN], align_corners=False)
    moved = F.grid_sample(torch.cat([moving(hu, random) - AIR_HU, edge + 60.0, masks], 1), grid, align_corners=False)
    hu, edge = moved[:, :slices] + AIR_HU, moved[:, slices : 2 * slices] - 60.0
    tumour, known = (moved[:, 2 * slices :] >= 0.5).float().split(1, 1)
    inside = edge > _border(batch, random, wide)
    hu = torch.where(inside, appearance(hu, random), AIR_HU)
    return hu, tumour * inside[:, slices // 2, None], known


def _border(batch: int, random: Generator, wide: float) -> Tensor:
    """Return by how many mm the lung field is made smaller, unevenly, as it is around large tumours.

    Some are up to 5 cm wider: the mirror image of a low lung may hold the other side's liver, and a field may be wrong.
    """
    lumps = F.interpolate(torch.randn((batch, 1, 6, 7), generator=random), SEEN, mode="bicubic")
    even = uniform((batch, 1, 1, 1), -5.0, 9.0, random) * sometimes(batch, 0.6, random)
    if wide > 0.0:
        even = torch.where(sometimes(batch, wide, random) > 0, uniform((batch, 1, 1, 1), -50.0, -5.0, random), even)
    return even + lumps * uniform((batch, 1, 1, 1), 0.0, 4.0, random) * sometimes(batch, 0.5, random)


def moving(hu: Tensor, random: Generator) -> Tensor:
    """A third of the stacks, whose slices take up to 40 % of those next to them, as thick slices and breathing do."""
    batch, slices = hu.shape[:2]
    steady, changing = uniform((batch, 1, 1, 1), 0.0, 1.0, random), uniform((batch, slices, 1, 1), 0.0, 1.0, random)
    share = 0.4 * torch.where(sometimes(batch, 0.5, random) > 0, steady, changing) * sometimes(batch, 0.33, random)
    up, down = torch.cat([hu[:, :1], hu[:, :-1]], 1), torch.cat([hu[:, 1:], hu[:, -1:]], 1)
    return torch.lerp(hu, (up + down) / 2, share)


def appearance(hu: Tensor, random: Generator) -> Tensor:
    """Kernel (blur or sharpen), contrast medium, calibration, noise, coarse HU steps and a saturated window."""
    batch = len(hu)

    def each(low: float, high: float) -> Tensor:
        return uniform((batch, 1, 1, 1), low, high, random)

    blurred = F.avg_pool2d(hu, 3, 1, 1, count_include_pad=False)
    hu = hu + each(-0.8, 0.7) * sometimes(batch, 0.7, random) * (hu - blurred)
    medium = 1.0 + each(0.0, 2.0) * sometimes(batch, 0.3, random)
    hu = torch.where(hu > 45.0, 45.0 + (hu - 45.0) * medium, hu)
    hu = (hu - AIR_HU) * each(0.96, 1.04) + AIR_HU + each(-20.0, 20.0)
    noise = torch.randn(hu.shape, generator=random)
    smooth = F.avg_pool2d(noise, 3, 1, 1)
    mix = sometimes(batch, 0.5, random)
    hu = hu + each(0.0, 40.0) * sometimes(batch, 0.7, random) * (mix * noise + (1 - mix) * 2.0 * smooth)
    coarse = sometimes(batch, 0.2, random)
    hu = coarse * torch.round(hu / 16.0) * 16.0 + (1 - coarse) * torch.round(hu)
    saturated = sometimes(batch, 0.3, random)
    return torch.minimum(hu, saturated * each(80.0, 300.0) + (1 - saturated) * 3000.0).clamp_min(AIR_HU)
