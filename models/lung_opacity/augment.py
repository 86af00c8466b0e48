"""Random changes of a training batch: how other patients, scanners and window settings would look."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

AIR_HU = -1024.0

SEEN = 0.75
"""Side of the window of a slice that the network trains on, as part of the slice: saves almost half of the time."""


def augment(hu: Tensor, masks: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
    """Returns a window of `SEEN` n of each.

    hu: float HU (batch, 1, n, n). masks: float 0/1 (batch, 3, n, n): lung, opacity and where opacity is supervised.
    """
    hu = breathed_out(hu, masks[:, :1], random)
    hu, masks = _with_opacity(hu, masks, random)
    size = round(SEEN * hu.shape[-1])
    grid = F.affine_grid(placement(len(hu), random), [len(hu), 1, size, size], align_corners=False)
    moved = F.grid_sample(hu - AIR_HU, grid, align_corners=False) + AIR_HU
    masks = (F.grid_sample(masks, grid, align_corners=False) >= 0.5).float()
    return appearance(moved, random), masks


def uniform(shape: tuple[int, ...], low: float, high: float, random: Generator) -> Tensor:
    return torch.rand(shape, generator=random, device=random.device) * (high - low) + low


def sometimes(batch: int, probability: float, random: Generator) -> Tensor:
    return (torch.rand((batch, 1, 1, 1), generator=random, device=random.device) < probability).float()


def with_partial_volume(hu: Tensor, below: Tensor, random: Generator) -> Tensor:
    """A third of the slices take up to 45 % of the slice below, as thick slices do at the diaphragm's dome; same HU
    and shapes, (batch, 1, n, n). Their masks stay right: most of each voxel is the slice's own."""
    return torch.lerp(hu, below, sometimes(len(hu), 1 / 3, random) * uniform((len(hu), 1, 1, 1), 0.0, 0.45, random))


def breathed_out(hu: Tensor, lung: Tensor, random: Generator) -> Tensor:
    """Half of the slices as in shallow inspiration: the lung is denser, mostly at the back, without being ill.

    Up to 8 % of the way to soft tissue everywhere and 20 % more at the back of the slice: -860 HU become -790 to -610.
    """
    batch, _, size, _ = hu.shape
    back = torch.linspace(0.0, 1.0, size, device=hu.device).view(1, 1, -1, 1) ** 2
    part = uniform((batch, 1, 1, 1), 0.0, 0.08, random) + uniform((batch, 1, 1, 1), 0.0, 0.2, random) * back
    soft = torch.clamp(hu, min=40.0)
    return torch.lerp(hu, soft, part * lung * sometimes(batch, 0.5, random))


def _with_opacity(hu: Tensor, masks: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
    """A made-up opacity in a third of the slices: cloudy, soft-edged, mostly at the pleura and at the back.

    Half of them are as dense as muscle. Without them the network takes a dense consolidation that touches the chest
    wall for chest wall, because hardly any training patient has one.
    """
    batch, _, size, _ = hu.shape
    coarse = size // 4
    lung = masks[:, :1]
    cloud = torch.zeros((batch, 1, coarse, coarse), device=hu.device)
    for n, weight in ((6, 1.0), (14, 0.5), (40, 0.2)):
        lumps = torch.randn((batch, 1, n, n), generator=random, device=hu.device)
        cloud = cloud + weight * F.interpolate(lumps, (coarse, coarse), mode="bicubic")
    hu, opacity = with_clouds(hu, lung, masks[:, 1:2], cloud, random)
    return hu, torch.cat([lung, opacity, masks[:, 2:]], 1)


def with_clouds(hu: Tensor, lung: Tensor, opacity: Tensor, cloud: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
    """HU and opacity, where a third of the batch has opacity in the lungs that follows a cloud.

    It lies mostly at the pleura and at the back; half of it is as dense as muscle.

    hu, lung, opacity: (batch, slice, n, n). cloud: noise of a mean of 0, (batch, slice, n / 4, n / 4).
    """
    batch, coarse, size = len(hu), cloud.shape[-1], hu.shape[-1]

    def each(low: float, high: float) -> Tensor:
        return uniform((batch, 1, 1, 1), low, high, random)

    pleura = 1.0 - F.avg_pool2d(F.avg_pool2d(lung, 4), 7, 1, 3)
    back = torch.linspace(-1.0, 1.0, coarse, device=hu.device).view(1, 1, -1, 1)
    height = cloud + each(0.0, 3.0) * (pleura - 0.5) + each(-0.3, 1.2) * back - each(0.2, 2.0)
    height = F.interpolate(height, (size, size), mode="bilinear")
    amount = torch.sigmoid(height / each(0.03, 0.3)) * lung * sometimes(batch, 1 / 3, random)
    dense = sometimes(batch, 0.5, random)
    share = dense * each(0.9, 1.0) + (1 - dense) * each(0.25, 0.7)
    tissue = each(-20.0, 80.0) + 20.0 * torch.randn(hu.shape, generator=random, device=hu.device)
    hu = torch.lerp(hu, torch.maximum(hu, tissue), amount * share)
    return hu, torch.maximum(opacity, (amount >= 0.5).float())


def placement(batch: int, random: Generator, seen: float = SEEN) -> Tensor:
    """Affine matrices (batch, 2, 3): a window of `seen` of the slice anywhere, rotation 20 degrees, scale 0.8-1.25,
    mirrored left-right in half of the slices and front-back in a tenth (gravity acts on the other side of a prone
    patient)."""
    angle = uniform((batch,), -math.radians(20), math.radians(20), random)
    scale_x = seen * torch.exp(uniform((batch,), math.log(0.8), math.log(1.25), random))
    scale_y = scale_x * torch.exp(uniform((batch,), math.log(0.9), math.log(1.1), random))
    scale_x = torch.where(torch.rand(batch, generator=random, device=random.device) < 0.5, -scale_x, scale_x)
    scale_y = torch.where(torch.rand(batch, generator=random, device=random.device) < 0.1, -scale_y, scale_y)
    shift = uniform((batch, 2), seen - 1.0, 1.0 - seen, random)
    cos, sin = torch.cos(angle), torch.sin(angle)
    rows = [torch.stack([cos * scale_x, -sin * scale_y, shift[:, 0]], 1)]
    rows.append(torch.stack([sin * scale_x, cos * scale_y, shift[:, 1]], 1))
    return torch.stack(rows, 1)


def appearance(hu: Tensor, random: Generator) -> Tensor:
    """Kernel (blur or sharpen), calibration, noise, coarse HU steps and a saturated window."""
    batch = len(hu)
    blurred = F.avg_pool2d(hu, 3, 1, 1, count_include_pad=False)
    hu = hu + uniform((batch, 1, 1, 1), -0.8, 0.8, random) * (hu - blurred)
    gain = uniform((batch, 1, 1, 1), 0.95, 1.05, random)
    hu = (hu - AIR_HU) * gain + AIR_HU + uniform((batch, 1, 1, 1), -30.0, 30.0, random)
    noise = torch.randn(hu.shape, generator=random, device=hu.device)
    smooth = F.avg_pool2d(noise, 3, 1, 1)
    mix = sometimes(batch, 0.5, random)
    hu = hu + uniform((batch, 1, 1, 1), 0.0, 45.0, random) * (mix * noise + (1 - mix) * 2.0 * smooth)
    coarse = sometimes(batch, 0.3, random)
    hu = coarse * torch.round(hu / 16.0) * 16.0 + (1 - coarse) * torch.round(hu)
    top = uniform((batch, 1, 1, 1), 80.0, 400.0, random)
    return torch.minimum(hu, top).clamp_min(AIR_HU)
