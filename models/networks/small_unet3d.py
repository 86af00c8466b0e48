"""A 3D U-Net of 1.1 million parameters for coarse volumes, which two CPU cores can afford.

The first layer folds 2 x 2 x 2 voxels into channels and the last unfolds them, so fine voxels cost little.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from .double_conv3d import double_conv3d
from .fold import folded, unfolded

_FOLD = (2, 2, 2)
_WIDTHS = (16, 32, 64, 96)


class SmallUnet3d(nn.Module):
    """Volume 0-1, shape (batch, inputs, n, n, n), to logits, shape (batch, outputs, n, n, n); n divisible by 16."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        folds, (first, *_) = 2**3, _WIDTHS
        self.down = nn.ModuleList(
            [double_conv3d(folds * inputs, first), *(double_conv3d(a, b, 2) for a, b in pairwise(_WIDTHS))]
        )
        self.finer = nn.ModuleList([nn.ConvTranspose3d(b, a, 2, 2) for a, b in pairwise(_WIDTHS)])
        self.up = nn.ModuleList([double_conv3d(2 * width, width) for width in _WIDTHS[:-1]])
        self.head = nn.Conv3d(first, folds * outputs, 1)

    def forward(self, volume: Tensor) -> Tensor:
        x = folded(volume, _FOLD)
        levels = []
        for block in self.down:
            x = block(x)
            levels.append(x)
        for finer, block, level in zip(reversed(self.finer), reversed(self.up), reversed(levels[:-1]), strict=True):
            x = block(torch.cat([level, finer(x)], 1))
        return unfolded(self.head(x), _FOLD)
