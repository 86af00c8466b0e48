"""The dense block (Huang et al. 2017): every layer sees what all layers before it found."""

import torch
from torch import Tensor, nn


def convolution(inputs: int, outputs: int, size: int = 3) -> nn.Sequential:
    """A convolution that keeps the size, batch normalisation and LeakyReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.01)
    )


class DenseBlock(nn.Module):
    """Shape (batch, inputs, n, n) to (batch, `outputs`, n, n): the input and `growth` channels of each layer.

    Normalisation follows each convolution, and so costs nothing once the network is exported.
    """

    def __init__(self, inputs: int, growth: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(convolution(inputs + k * growth, growth) for k in range(layers))
        self.outputs = inputs + layers * growth

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return x
