"""The augmentation of Topff 2023 for 2D slices: rotation, zoom and lighting."""

import math

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from .augment import AIR_HU
from .spec import WINDOW_HU

ROTATION_DEG = 20.0
ZOOM = (0.95, 1.05)
LIGHTING = 0.10
"""Largest change of contrast about the middle of the window, and of brightness as part of the window."""


def augment_topff(hu: Tensor, masks: Tensor, random: Generator) -> tuple[Tensor, Tensor]:
    """hu: float HU (batch, 1, n, n); masks: float 0/1 (batch, channel, n, n). Returns the same shapes."""
    angle, zoom, contrast, brightness = draw(len(hu), random)
    cos, sin, zero = torch.cos(angle) / zoom, torch.sin(angle) / zoom, torch.zeros(len(hu))
    placed = torch.stack([torch.stack([cos, -sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
    grid = F.affine_grid(placed, list(hu.shape), align_corners=False)
    moved = F.grid_sample(hu - AIR_HU, grid, align_corners=False) + AIR_HU
    masks = (F.grid_sample(masks, grid, align_corners=False) >= 0.5).float()
    low, high = WINDOW_HU
    level = (low + high) / 2
    lit = (moved - level) * contrast.view(-1, 1, 1, 1) + level + brightness.view(-1, 1, 1, 1) * (high - low)
    return lit, masks


def draw(batch: int, random: Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Angle (radians), zoom, contrast and brightness of each slice, shape (batch,)."""

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(batch, generator=random) * (high - low) + low

    angle = uniform(-math.radians(ROTATION_DEG), math.radians(ROTATION_DEG))
    return angle, uniform(*ZOOM), uniform(1 - LIGHTING, 1 + LIGHTING), uniform(-LIGHTING, LIGHTING)
