"""3D ResNet-50 of two channels (He et al. 2016; in 3D: Hara et al. 2018), the best classifier of Wang et al. 2020.

Bottleneck blocks 3-4-6-3. The published network has 46.2 million parameters with three channels of input and without
its last layer (46,198,976). Ours has two channels, 64 x 7 x 7 x 7 = 21,952 fewer, and a last layer of three classes,
3 x (2048 + 1) = 6,147 more: 46,183,171.

Every feature map goes through global average pooling and ONE linear layer, so Grad-CAM (Selvaraju et al. 2017) needs
no gradient: the logit of class c is y_c = b_c + sum_k w_ck mean(A_k), so dy_c / dA_k is w_ck / n at each of the n
positions, and Grad-CAM's weights, the means of these gradients, are w_ck / n. The map is relu(sum_k w_ck A_k) but for
the factor 1 / n, which normalising by the map's maximum removes. That is a forward computation, exact, and runs in
every back end.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_BLOCKS = (3, 4, 6, 3)
_EXPANSION = 4


@dataclass(frozen=True, slots=True)
class Size:
    """width: channels of the first convolution. strides: of the four groups of blocks."""

    width: int
    strides: tuple[int, int, int, int]


PAPER = Size(width=64, strides=(1, 2, 2, 2))

SMALL = Size(width=12, strides=(1, 2, 2, 1))
"""What two CPU cores can afford. The last group keeps the resolution: of a region of 48 x 96 x 96 voxels the map has
6 x 6 x 6 positions, not 3 x 3 x 3."""


class Bottleneck(nn.Module):
    """1x1x1, 3x3x3 and 1x1x1 convolutions around a shortcut."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = _EXPANSION * width
        self.layers = nn.Sequential(
            *(nn.Conv3d(inputs, width, 1, bias=False), nn.BatchNorm3d(width), nn.ReLU()),
            *(nn.Conv3d(width, width, 3, stride, 1, bias=False), nn.BatchNorm3d(width), nn.ReLU()),
            *(nn.Conv3d(width, outputs, 1, bias=False), nn.BatchNorm3d(outputs)),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.layers(x) + self.shortcut(x))


class Resnet50in3d(nn.Module):
    """HU 0-1 and mask 0/1, shape (batch, 2, slices, rows, columns), to logits (batch, classes)."""

    def __init__(self, classes: int, size: Size) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv3d(2, size.width, 7, (1, 2, 2), 3, bias=False), nn.BatchNorm3d(size.width), nn.ReLU()
        )
        groups, channels = [], size.width
        for k, (count, stride) in enumerate(zip(_BLOCKS, size.strides, strict=True)):
            width = size.width * 2**k
            for number in range(count):
                groups.append(Bottleneck(channels, width, 1 if number else stride))
                channels = _EXPANSION * width
        self.blocks = nn.Sequential(*groups)
        self.last = nn.Linear(channels, classes)
        for part in self.modules():
            if isinstance(part, nn.Conv3d):
                nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu")

    def features(self, region: Tensor) -> Tensor:
        """The last feature maps, (batch, channels, ...): A in this module's docstring."""
        return self.blocks(halved(self.first(region)))

    def head(self, features: Tensor) -> Tensor:
        """Logits of pooled features."""
        return self.last(features.mean((2, 3, 4)))

    def forward(self, region: Tensor) -> Tensor:
        return self.head(self.features(region))


def halved(x: Tensor) -> Tensor:
    """The maximum of 3x3x3 voxels at every second voxel along each axis (sides are even).

    One axis after the other: torch's own pooling in 3D has no gradient on a GPU that is the same each time.
    """
    for axis in (2, 3, 4):
        even, odd = x.unflatten(axis, (-1, 2)).unbind(axis + 1)
        before = torch.cat([odd.narrow(axis, 0, 1), odd.narrow(axis, 0, odd.shape[axis] - 1)], axis)
        x = torch.maximum(torch.maximum(even, odd), before)
    return x


def class_activation(features: Tensor, weights: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Grad-CAM of one class per region, 0-1 by its own maximum, (batch, *shape); 0 everywhere where nothing speaks for
    the class.

    features: of `Resnet50in3d.features`. weights: (batch, channels), those of the last layer for the class.
    """
    map_ = torch.relu((features * weights[:, :, None, None, None]).sum(1, keepdim=True))
    fine = F.interpolate(map_, shape, mode="trilinear", align_corners=False)[:, 0]
    return fine / fine.amax((1, 2, 3), keepdim=True).clamp_min(1e-12)
