"""The network that sees the lungs' shape, and what is served of it.

Both lungs come as masks in boxes of their own, so it knows neither HU nor millimetres. It learns which lobe every voxel
of a box is, or none, and is served to say what is lung: where a mass or a collapse was left out, the shape tells.
"""

import torch
from torch import Tensor, nn

from models.networks.small_unet3d import SmallUnet3d
from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES

OF_SIDE = (len(RIGHT_LOBES), len(LEFT_LOBES))
"""Lobes of the right and of the left box."""

_BELIEF = 3.0
"""Logit by which the mask itself is believed, before anything is learned: the network learns what it lacks."""


class ShapeNetwork(nn.Module):
    """Masks 0-1, shape (batch, 2, n, n, n), to logits (batch, 7, n, n, n): the right lobes, none, the left, none."""

    def __init__(self) -> None:
        super().__init__()
        self.shape = SmallUnet3d(2, sum(OF_SIDE) + 2)

    def forward(self, lungs: Tensor) -> Tensor:
        belief = _BELIEF * (2.0 * lungs - 1.0)
        said = self.shape(lungs).split([part for count in OF_SIDE for part in (count, 1)], 1)
        right, left = belief.split(1, 1)
        return torch.cat([part + by for part, by in zip(said, (right, -right, left, -left), strict=True)], 1)


def by_side(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The logits of the right and of the left box, of each "none" is the last."""
    right, left = logits.split([count + 1 for count in OF_SIDE], 1)
    return right, left


def build() -> ShapeNetwork:
    return ShapeNetwork().to(memory_format=torch.channels_last_3d)  # type: ignore[no-any-return]


class Served(nn.Module):
    """What is exported: probability of lung in both boxes, as float for the parity check and as UINT8."""

    def __init__(self, network: ShapeNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, lungs: Tensor) -> tuple[Tensor, Tensor]:
        said = by_side(self.network(lungs.float() / 255.0))
        probability = torch.cat([1.0 - torch.softmax(side, 1)[:, -1:] for side in said], 1)
        return probability, torch.round(255.0 * probability).to(torch.uint8)
