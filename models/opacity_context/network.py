"""The networks that can learn opacities from a slice and its neighbours, and what is served of them.

Everything a caller could get wrong (window, scaling, quantisation) is inside the graph: INT16 HU in, UINT8
probability out.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from models.networks.context_unet import PAPER, SMALL, ContextUnet
from models.networks.window import scaled

from .spec import CHANNELS, WINDOW_HU

Name = Literal["context-unet-small", "context-unet"]

RELEASED: Name = "context-unet-small"

_NETWORKS: dict[Name, Callable[[], ContextUnet]] = {
    "context-unet-small": lambda: ContextUnet(len(CHANNELS), SMALL),
    "context-unet": lambda: ContextUnet(len(CHANNELS), PAPER),
}


def build(name: Name) -> ContextUnet:
    """A new network: stacks 0-1 (batch, n, rows, columns) to logits (batch, n - 10, 2, rows, columns): `ContextUnet`.

    ValueError if it has no such name.
    """
    if name not in _NETWORKS:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(_NETWORKS)}")
    return _NETWORKS[name]().to(memory_format=torch.channels_last)


def image(hu: Tensor) -> Tensor:
    """HU, any shape, as the networks see them: the window scaled to 0-1."""
    return scaled(hu, WINDOW_HU)


class Served(nn.Module):
    """What is exported: probabilities, as float for the parity check and as UINT8 = round(255 p) to serve; shape
    (batch, channel, slice, row, column)."""

    def __init__(self, network: ContextUnet) -> None:
        super().__init__()
        self.network = network

    def forward(self, hu: Tensor) -> tuple[Tensor, Tensor]:
        probability = torch.sigmoid(self.network(image(hu))).transpose(1, 2)
        return probability, torch.round(255.0 * probability).to(torch.uint8)
