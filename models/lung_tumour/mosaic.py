"""Pictures of real tumours side by side, each as a stack of slices that it is in the middle of."""

import math

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from .data import EDGE_MM
from .draw import COUNT, Stack
from .patches import SIZE
from .spec import GRID, REACH

_SIDE = GRID.size // SIZE

_BORDER = 4
"""Pixels at the edge of a picture of which nothing is learned: the next one is another patient's."""


def mosaic(random: Generator, hu: NDArray[np.int16], tumour: NDArray[np.bool_]) -> Stack:
    """As many pictures as fill a slice, three quarters of them with tumour. hu, tumour: (picture, row, column)."""
    ill = tumour.any((1, 2))
    chosen = [
        int(random.choice(np.flatnonzero(ill if random.random() < 0.75 or ill.all() else ~ill)))
        for _ in range(_SIDE * _SIDE)
    ]
    quarters = random.integers(4, size=len(chosen))
    pictures = np.stack([np.rot90(hu[k], q) for k, q in zip(chosen, quarters, strict=True)])
    masks = np.stack([np.rot90(tumour[k], q) for k, q in zip(chosen, quarters, strict=True)])
    known = np.zeros_like(masks)
    known[:, _BORDER:-_BORDER, _BORDER:-_BORDER] = True
    stacks = _as_stacks(torch.from_numpy(pictures).float(), random).round().to(torch.int16).numpy()
    sheet = _sheet(stacks)
    centre = np.array(sheet.shape[1:], np.float32) * random.uniform(0.35, 0.65, 2).astype(np.float32)
    both = np.concatenate([_sheet(masks[:, None]), _sheet(known[:, None])]).astype(np.uint8)
    return Stack(sheet, np.full(sheet.shape, EDGE_MM, np.int8), both, centre)


def _as_stacks(pictures: Tensor, random: Generator) -> Tensor:
    """Slices above and below each picture are made from it, wider or narrower and moved: (picture, slice, row, column).

    What is in the picture mostly becomes smaller away from it, as a body does, and vessels lie elsewhere.
    """
    count = len(pictures)
    steps = torch.arange(-REACH, REACH + 1).float()

    def each(low: float, high: float) -> Tensor:
        return torch.from_numpy(random.uniform(low, high, (count, 1))).float()

    scale = torch.exp(each(-0.02, 0.1) * steps.abs() + each(-0.04, 0.04) * steps)
    theta = torch.zeros((count, COUNT, 2, 3))
    theta[..., 0, 0] = theta[..., 1, 1] = scale
    theta[..., 0, 2], theta[..., 1, 2] = each(-0.03, 0.03) * steps, each(-0.03, 0.03) * steps
    grid = F.affine_grid(theta.flatten(0, 1), [count * COUNT, 1, SIZE, SIZE], align_corners=False)
    repeated = pictures.repeat_interleave(COUNT, 0)[:, None]
    return F.grid_sample(repeated, grid, padding_mode="border", align_corners=False).view(count, COUNT, SIZE, SIZE)


def _sheet(parts: NDArray[np.generic]) -> NDArray[np.generic]:
    """(picture, slice, row, column) side by side: (slice, rows, columns)."""
    side = math.isqrt(len(parts))
    rows = [np.concatenate(list(parts[k : k + side]), 2) for k in range(0, len(parts), side)]
    return np.concatenate(rows, 1)
