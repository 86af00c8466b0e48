"""The networks that can learn what a lesion is a sign of, and what is served of them."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from models.networks.resnet50_3d import PAPER, SMALL, Resnet50in3d, class_activation
from models.triage_lesion.network import image

from .spec import CLASSES, REGION

Name = Literal["resnet50-3d-small", "resnet50-3d"]

RELEASED: Name = "resnet50-3d-small"

_NETWORKS: dict[Name, Callable[[], Resnet50in3d]] = {
    "resnet50-3d-small": lambda: Resnet50in3d(len(CLASSES), SMALL),
    "resnet50-3d": lambda: Resnet50in3d(len(CLASSES), PAPER),
}


def build(name: Name) -> Resnet50in3d:
    """A new network: regions of two channels, HU 0-1 and mask 0/1, to logits of `CLASSES`, see `Resnet50in3d`.

    ValueError if there is no network of this name.
    """
    if name not in _NETWORKS:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(_NETWORKS)}")
    return _NETWORKS[name]()


def seen(hu: Tensor, mask: Tensor) -> Tensor:
    """What the network sees of HU and mask 0/1, both (batch, slice, row, column): (batch, 2, slice, row, column)."""
    return torch.stack([image(hu), mask.float()], 1)


class Served(nn.Module):
    """What is exported: calibrated probabilities of `CLASSES`, and the heat map of the most probable class.

    probabilities: softmax(logits / temperature), float32 (batch, 3). heat map: Grad-CAM, 0-1 by its own maximum, as
    float for the parity check and as UINT8 = round(255 x) to serve, (batch, slice, row, column).
    """

    def __init__(self, network: Resnet50in3d, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature

    def forward(self, hu: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        features = self.network.features(seen(hu, mask))
        logits = self.network.head(features)
        shown = self.network.last.weight[logits.argmax(1)]
        heat = class_activation(features, shown, REGION)
        return torch.softmax(logits / self.temperature, 1), heat, torch.round(255.0 * heat).to(torch.uint8)
