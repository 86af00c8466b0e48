"""2D U-Net with a ResNet-34 encoder: the opacity segmentation of Topff 2023.

Encoder: He et al., Deep residual learning for image recognition (2016), table 1. Its parameters carry the names of the
common implementations, so published encoder weights load with `encoder.load_state_dict` (without their `fc`).
Decoder: the paper only says "U-Net-like"; here each level doubles the size (nearest neighbour, whose gradient is
deterministic on GPUs), joins the encoder's level of that size and convolves twice, as in Ronneberger et al. (2015).
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bcet import bcet
from .double_conv import double_conv

_LEVELS = (64, 64, 128, 256, 512)
_DECODER = (256, 128, 64, 64, 32)


class _Residual(nn.Module):
    """Two 3x3 convolutions and the shortcut; `stride` halves the size when it is 2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = stride == 1 and inputs == outputs
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.downsample = None if same else shortcut

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return F.relu(y + (x if self.downsample is None else self.downsample(x)))


def _stage(inputs: int, outputs: int, blocks: int, stride: int) -> nn.Sequential:
    rest = [_Residual(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(_Residual(inputs, outputs, stride), *rest)


class ResNet34(nn.Module):
    """Image, shape (batch, inputs, n, n), to its five levels of 64, 64, 128, 256, 512 channels and n/2 ... n/32."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = _stage(64, 64, blocks=3, stride=1)
        self.layer2 = _stage(64, 128, blocks=4, stride=2)
        self.layer3 = _stage(128, 256, blocks=6, stride=2)
        self.layer4 = _stage(256, 512, blocks=3, stride=2)

    def forward(self, image: Tensor) -> list[Tensor]:
        levels = [F.relu(self.bn1(self.conv1(image)))]
        x = F.max_pool2d(levels[0], 3, 2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            levels.append(x)
        return levels


class UnetResNet34(nn.Module):
    """Image 0-1, shape (batch, inputs, n, n), to logits, shape (batch, outputs, n, n); n divisible by 32.

    inputs: 1, or 3 for encoder weights learned on colour pictures. contrast: begin with the BCET step.
    """

    def __init__(self, outputs: int, inputs: int = 1, contrast: bool = False) -> None:
        super().__init__()
        self.contrast = contrast
        self.encoder = ResNet34(inputs)
        *skips, deepest = _LEVELS
        sizes = zip(pairwise((deepest, *_DECODER)), (*reversed(skips), 0), strict=True)
        self.decoder = nn.ModuleList([double_conv(below + skip, out) for (below, out), skip in sizes])
        self.head = nn.Conv2d(_DECODER[-1], outputs, 1)

    def forward(self, image: Tensor) -> Tensor:
        *levels, x = self.encoder(bcet(image) if self.contrast else image)
        for block, level in zip(self.decoder, (*reversed(levels), None), strict=True):
            x = F.interpolate(x, scale_factor=2.0)
            x = block(x if level is None else torch.cat([x, level], 1))
        return self.head(x)
