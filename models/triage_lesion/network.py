"""The networks that can learn lesions in patches, and what is served of them.

Everything a caller could get wrong (window, scaling, quantisation) is inside the graph: INT16 HU in, UINT8
probability out. The caller sets what is outside the lungs to -1024 HU.
"""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from models.networks.unet3d_plus_plus import PAPER, SMALL, Unet3dPlusPlus
from models.networks.window import scaled

from .spec import WINDOW_HU

Name = Literal["unet3d-plus-plus-small", "unet3d-plus-plus"]

RELEASED: Name = "unet3d-plus-plus-small"

_NETWORKS: dict[Name, Callable[[], Unet3dPlusPlus]] = {
    "unet3d-plus-plus-small": lambda: Unet3dPlusPlus(SMALL),
    "unet3d-plus-plus": lambda: Unet3dPlusPlus(PAPER),
}


def build(name: Name) -> Unet3dPlusPlus:
    """A new network: patches 0-1 (batch, 1, slices, rows, columns) to logits, see `Unet3dPlusPlus`.

    ValueError if there is no network of this name.
    """
    if name not in _NETWORKS:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(_NETWORKS)}")
    return _NETWORKS[name]().to(memory_format=torch.channels_last_3d)


def image(hu: Tensor) -> Tensor:
    """HU, any shape, as the networks see them: the window scaled to 0-1."""
    return scaled(hu, WINDOW_HU)


class Served(nn.Module):
    """What is exported: probabilities of the last head, as float for the parity check and as UINT8 = round(255 p) to
    serve; shape (batch, 1, slice, row, column)."""

    def __init__(self, network: Unet3dPlusPlus) -> None:
        super().__init__()
        self.network = network

    def forward(self, hu: Tensor) -> tuple[Tensor, Tensor]:
        probability = torch.sigmoid(self.network(image(hu)[:, None]))
        return probability, torch.round(255.0 * probability).to(torch.uint8)
