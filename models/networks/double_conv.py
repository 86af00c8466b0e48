"""The building block of U-Nets (Ronneberger et al. 2015), with batch normalisation."""

from torch import nn


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    """Twice a 3x3 convolution, batch normalisation and ReLU; keeps the size."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )
