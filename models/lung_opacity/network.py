"""The network: a small 2D U-Net that works at half resolution and writes at full resolution.

The first layer folds 2x2 pixels into channels and the last unfolds them, so fine pixels cost little. Everything a
caller could get wrong (window, scaling, quantisation) is inside the graph: INT16 HU in, UINT8 probability out.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .spec import CHANNELS, WINDOW_HU


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class LungOpacityNet(nn.Module):
    """INT16 HU, shape (batch, 1, size, size), to logits, shape (batch, 2, size, size); size divisible by 16."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        w = width
        self.down = nn.ModuleList([_block(4, w), _block(w, 2 * w), _block(2 * w, 4 * w), _block(4 * w, 8 * w)])
        self.up = nn.ModuleList([_block(12 * w, 4 * w), _block(6 * w, 2 * w), _block(3 * w, w)])
        self.head = nn.Conv2d(w, 4 * len(CHANNELS), 1)

    def forward(self, hu: Tensor) -> Tensor:
        low, high = WINDOW_HU
        x = (hu.float().clamp(low, high) - low) / (high - low)
        x = F.pixel_unshuffle(x, 2)
        levels = []
        for depth, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if depth else x)
            levels.append(x)
        for block, level in zip(self.up, reversed(levels[:-1]), strict=True):
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0), level], 1))
        return F.pixel_shuffle(self.head(x), 2)


class Served(nn.Module):
    """What is exported: probabilities, as float for the parity check and as UINT8 = round(255 p) to serve."""

    def __init__(self, network: LungOpacityNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, hu: Tensor) -> tuple[Tensor, Tensor]:
        probability = torch.sigmoid(self.network(hu))
        return probability, torch.round(255.0 * probability).to(torch.uint8)
