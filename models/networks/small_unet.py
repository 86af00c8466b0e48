"""A 2D U-Net of 1.1 million parameters that two CPU cores can afford; the one in service.

The first layer folds 2x2 pixels into channels and the last unfolds them, so fine pixels cost little.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .double_conv import double_conv


class SmallUnet(nn.Module):
    """Images 0-1, shape (batch, inputs, n, m), to logits, shape (batch, outputs, n, m); n and m divisible by 16.

    inputs: windows or neighbouring slices, each a channel.
    """

    def __init__(self, outputs: int, width: int = 24, inputs: int = 1) -> None:
        super().__init__()
        w = width
        self.down = nn.ModuleList(
            [double_conv(4 * inputs, w), double_conv(w, 2 * w), double_conv(2 * w, 4 * w), double_conv(4 * w, 8 * w)]
        )
        self.up = nn.ModuleList([double_conv(12 * w, 4 * w), double_conv(6 * w, 2 * w), double_conv(3 * w, w)])
        self.head = nn.Conv2d(w, 4 * outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = F.pixel_unshuffle(image, 2)
        levels = []
        for depth, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if depth else x)
            levels.append(x)
        for block, level in zip(self.up, reversed(levels[:-1]), strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), level], 1))
        return F.pixel_shuffle(self.head(x), 2)
