"""3D U-Net++ (Zhou et al. 2018, in three dimensions as Wang et al. 2020 use it): nested skips and deep supervision.

Node (i, j) stands at resolution i and sees every node before it in its row and the one below, made finer. The nodes
(0, 1), (0, 2), ... have a head each, and each head learns; the last one, which sees all of them, answers in service.

Wang et al. give patches of 256 x 256 x 128 and no channel numbers: `PAPER` has those of the U-Net++ paper. Each level
is reached by a convolution of stride 2 where the U-Net++ paper takes the maximum of 2 x 2 first: the parameters are as
many, and gradients on a GPU are the same each time.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from .double_conv3d import double_conv3d
from .fold import folded, unfolded


@dataclass(frozen=True, slots=True)
class Size:
    """channels: of every resolution, from fine to coarse. fold: voxels that are folded into channels before the first
    layer, along (slice, row, column). The sides of a patch are divisible by fold * 2 ** (len(channels) - 1)."""

    channels: tuple[int, ...]
    fold: tuple[int, int, int]


PAPER = Size(channels=(32, 64, 128, 256, 512), fold=(1, 1, 1))

SMALL = Size(channels=(12, 24, 48, 96), fold=(1, 2, 2))
"""What two CPU cores can afford: 37 kFLOP per voxel. Of voxels of 2.5 x 1 x 1 mm it makes 2.5 x 2 x 2 mm first."""


class Unet3dPlusPlus(nn.Module):
    """Patches 0-1, shape (batch, 1, slices, rows, columns), to logits of the last head, same shape.

    While it learns: logits of all heads, the last one last, shape (batch, heads, slices, rows, columns).
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.fold = size.fold
        folds, widths = size.fold[0] * size.fold[1] * size.fold[2], size.channels
        depth = len(widths)
        self.down = nn.ModuleList(
            [double_conv3d(folds, widths[0]), *(double_conv3d(a, b, stride=2) for a, b in pairwise(widths))]
        )
        self.finer, self.nested, self.heads = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleList()
        for j in range(1, depth):
            for i in range(depth - j):
                self.finer[f"{i}_{j}"] = nn.ConvTranspose3d(widths[i + 1], widths[i], 2, 2)
                self.nested[f"{i}_{j}"] = double_conv3d((j + 1) * widths[i], widths[i])
            self.heads.append(nn.Conv3d(widths[0], folds, 1))
        for part in self.modules():
            if isinstance(part, nn.Conv3d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")

    def forward(self, patch: Tensor) -> Tensor:
        x = folded(patch, self.fold)
        rows: list[list[Tensor]] = []
        for block in self.down:
            x = block(x)
            rows.append([x])
        for j in range(1, len(rows)):
            for i in range(len(rows) - j):
                up = self.finer[f"{i}_{j}"](rows[i + 1][j - 1])
                rows[i].append(self.nested[f"{i}_{j}"](torch.cat([*rows[i], up], 1)))
        if not self.training:
            return unfolded(self.heads[-1](rows[0][-1]), self.fold)
        said = [unfolded(head(node), self.fold) for head, node in zip(self.heads, rows[0][1:], strict=True)]
        return torch.cat(said, 1)
