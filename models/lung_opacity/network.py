"""The networks that can learn lungs and opacities, and what is served of them.

Everything a caller could get wrong (window, scaling, quantisation) is inside the graph: INT16 HU in, UINT8
probability out.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from models.networks.small_unet import SmallUnet
from models.networks.unet_resnet34 import UnetResNet34
from models.networks.window import scaled

from .spec import CHANNELS, WINDOW_HU

Name = Literal["small-unet", "unet-resnet34", "unet-resnet34-bcet"]

RELEASED: Name = "small-unet"

_NETWORKS: dict[Name, Callable[[], nn.Module]] = {
    "small-unet": lambda: SmallUnet(len(CHANNELS)),
    "unet-resnet34": lambda: UnetResNet34(len(CHANNELS)),
    "unet-resnet34-bcet": lambda: UnetResNet34(len(CHANNELS), contrast=True),
}


def build(name: Name) -> nn.Module:
    """A new network: image 0-1 (batch, 1, n, n) to logits (batch, 2, n, n); ValueError if it has no such name."""
    if name not in _NETWORKS:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(_NETWORKS)}")
    return _NETWORKS[name]().to(memory_format=torch.channels_last)  # a fifth faster on CPUs


def image(hu: Tensor) -> Tensor:
    """HU, shape (batch, 1, n, n), as the networks see them: the window scaled to 0-1."""
    return scaled(hu, WINDOW_HU)


class Served(nn.Module):
    """What is exported: probabilities, as float for the parity check and as UINT8 = round(255 p) to serve."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, hu: Tensor) -> tuple[Tensor, Tensor]:
        probability = torch.sigmoid(self.network(image(hu)))
        return probability, torch.round(255.0 * probability).to(torch.uint8)
