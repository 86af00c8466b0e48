"""Twice a 3x3x3 convolution, batch normalisation and ReLU: the block of the 3D networks."""

from torch import nn


def double_conv3d(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """stride: of the first convolution; 2 halves the sides."""
    layers: list[nn.Module] = []
    for channels, step in ((inputs, stride), (outputs, 1)):
        layers += [nn.Conv3d(channels, outputs, 3, step, 1, bias=False), nn.BatchNorm3d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)
