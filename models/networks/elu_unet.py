"""The network of Primakov et al. 2022, which outlines lung tumours in axial slices: a U-Net with ELU and dropout."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTHS = (64, 128, 256, 512, 1024)
"""Feature maps of each level, the finest first."""

DROPOUT = 0.5


class EluUnet(nn.Module):
    """Image 0-1, shape (batch, 1, n, n), to logits of the same shape; n divisible by 2 to the power of the levels - 1.

    The paper has 512 x 512 pixels of 1 mm. Its last layer is a sigmoid, which here is the caller's.
    """

    def __init__(self, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.first = _twice(1, widths[0])
        self.down = nn.ModuleList([_twice(fine, coarse) for fine, coarse in pairs])
        self.widen = nn.ModuleList([nn.ConvTranspose2d(coarse, fine, 2, 2) for fine, coarse in reversed(pairs)])
        self.up = nn.ModuleList([_twice(2 * fine, fine) for fine, _ in reversed(pairs)])
        self.head = nn.Conv2d(widths[0], 1, 1)
        self._dropped_from = len(pairs) - 2

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image)
        levels = []
        for depth, block in enumerate(self.down):
            levels.append(x)
            x = F.max_pool2d(x, 2)
            if depth >= self._dropped_from:
                x = F.dropout(x, DROPOUT, self.training)
            x = block(x)
        for widen, block, level in zip(self.widen, self.up, reversed(levels), strict=True):
            x = block(torch.cat([widen(x), level], 1))
        return self.head(x)


def _twice(inputs: int, outputs: int) -> nn.Sequential:
    """Twice a 3x3 convolution and ELU; keeps the size. Without batch normalisation."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ELU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ELU(),
    )
