"""Lungs that nobody scanned: bent, with rough surfaces, and with parts that a segmentation left out."""

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

_STRETCHED, _MOVED, _BENT = 0.08, 0.04, 0.06
"""Standard deviations, as parts of half a box."""

_BEND = 4
"""Points along each side of a box that move on their own."""

_MOST_BITES = 2
_BALLS = 3
"""Ellipsoids that a mass is made of."""

_BITE, _BITE_SPREAD = (3.0, 11.0), 3.0
"""Their half axes: from least to most, and how far the three of one differ, in voxels of the box."""

_PARTLY = 0.5
"""Part of the masses of which some was found, as a network finds it: in lumps."""

_FOUND = 0.5
"""Lumps: smooth noise (standard normal at its points) above this."""

_LUMP = 8
"""Points of the noise along each side of the box."""

_ROUGH = 0.25


def bent(volumes: Tensor, random: Generator) -> Tensor:
    """Each example stretched, turned and bent, all of its channels alike; (batch, channel, n, n, n)."""
    batch, _, *sides = volumes.shape
    affine = torch.eye(3) + _STRETCHED * torch.randn(batch, 3, 3, generator=random)
    move = _MOVED * torch.randn(batch, 3, 1, generator=random)
    coarse = [side // 2 for side in sides]
    grid = F.affine_grid(torch.cat([affine, move], 2), [batch, 1, *coarse], align_corners=False).movedim(-1, 1)
    bend = _BENT * torch.randn(batch, 3, _BEND, _BEND, _BEND, generator=random)
    grid = grid + F.interpolate(bend, coarse, mode="trilinear", align_corners=True)
    fine = F.interpolate(grid, sides, mode="trilinear", align_corners=False).movedim(1, -1)
    return F.grid_sample(volumes, fine, mode="bilinear", padding_mode="zeros", align_corners=False)


def bitten(lung: Tensor, random: Generator) -> Tensor:
    """One lung, (n, n, n), without up to `_MOST_BITES` masses at its surface or inside: what a network leaves out."""
    left = lung.clone()
    inside = F.avg_pool3d(lung[None, None], 2)[0, 0]
    for _ in range(int(torch.randint(0, _MOST_BITES + 1, (), generator=random))):
        places = 2 * (inside > 0.5).nonzero()
        if len(places):
            left[_mass(places, lung.shape, random)] = 0.0
    return left


def _mass(places: Tensor, shape: torch.Size, random: Generator) -> Tensor:
    """Voxels of a mass around one of `places` (n, 3); some of it may have been found."""
    centre = places[int(torch.randint(len(places), (), generator=random))].float()
    mass = torch.zeros(shape, dtype=torch.bool)
    for _ in range(_BALLS):
        size = _BITE[0] + (_BITE[1] - _BITE[0]) * torch.rand((), generator=random)
        half = size + _BITE_SPREAD * torch.rand(3, generator=random)
        z, y, x = (((torch.arange(n) - c) / h) ** 2 for n, c, h in zip(shape, centre, half, strict=True))
        mass |= z[:, None, None] + y[:, None] + x < 1.0
        centre = centre + half * (2.0 * torch.rand(3, generator=random) - 1.0)
    if float(torch.rand((), generator=random)) < _PARTLY:
        noise = torch.randn(1, 1, _LUMP, _LUMP, _LUMP, generator=random)
        mass &= F.interpolate(noise, list(shape), mode="trilinear", align_corners=False)[0, 0] < _FOUND
    return mass


def roughened(lungs: Tensor, random: Generator) -> Tensor:
    """Half of the examples with a surface that is a voxel off here and there; (batch, side, n, n, n)."""
    batch, sides, *space = lungs.shape
    noise = torch.randn(batch, sides, *(side // 4 for side in space), generator=random)
    off = _ROUGH * F.interpolate(noise, space, mode="trilinear", align_corners=False)
    rough = (F.avg_pool3d(lungs, 3, 1, 1) + off > 0.5).float()
    return torch.where(torch.rand(batch, 1, 1, 1, 1, generator=random) < 0.5, rough, lungs)
