"""A 3D U-Net of 1.1 million parameters for coarse volumes, which two CPU cores can afford.

The first layer folds 2 x 2 x 2 voxels into channels and the last unfolds them, so fine voxels cost little.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from .fold import folded, unfolded

_FOLD = (2, 2, 2)
_WIDTHS = (16, 32, 64, 96)


def _block(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels, step in ((inputs, stride), (outputs, 1)):
        layers += [nn.Conv3d(channels, outputs, 3, step, 1, bias=False), nn.BatchNorm3d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class SmallUnet3d(nn.Module):
    """Volume 0-1, shape (batch, inputs, n, n, n), to logits, shape (batch, outputs, n, n, n); n divisible by 16."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        folds, (first, *_) = 2**3, _WIDTHS
        self.down = nn.ModuleList([_block(folds * inputs, first), *(_block(a, b, 2) for a, b in pairwise(_WIDTHS))])
        self.finer = nn.ModuleList([nn.ConvTranspose3d(b, a, 2, 2) for a, b in pairwise(_WIDTHS)])
        self.up = nn.ModuleList([_block(2 * width, width) for width in _WIDTHS[:-1]])
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
