"""The networks that can learn tumours from a slice and its neighbours, and what is served of them.

Everything a caller could get wrong (windows, scaling, quantisation) is inside the graph: INT16 HU in, UINT8
probability out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.networks.elu_unet import EluUnet
from models.networks.small_unet import SmallUnet
from models.networks.window import scaled

from .spec import ASKED, CHANNELS, REACH, WINDOW_HU

Name = Literal["stack-unet", "elu-unet"]

RELEASED: Name = "stack-unet"

SOFT_HU = (-150.0, 250.0)
"""Tumour, muscle, vessels with contrast and collapsed lung differ by some tens of HU: a window of their own."""

PAPER_HU = (-1350.0, 150.0)
"""Width 1500, level -600 (paper D1)."""

_BIN_HU = 25.0
"""Width of the paper's bins."""


@dataclass(frozen=True, slots=True)
class Kind:
    """build: makes the network. reach: slices to either side that it sees. windows_hu: each gives one channel of every
    slice. bin_hu: HU are rounded down to multiples of it, counted from the lower end of the window; 0: they are not."""

    build: Callable[[], nn.Module]
    reach: int
    windows_hu: tuple[tuple[float, float], ...]
    bin_hu: float = 0.0


_SEEN = (WINDOW_HU, SOFT_HU)

KINDS: dict[Name, Kind] = {
    "stack-unet": Kind(lambda: SmallUnet(len(CHANNELS), 28, len(_SEEN) * (2 * REACH + 1)), REACH, _SEEN),
    "elu-unet": Kind(EluUnet, 0, (PAPER_HU,), _BIN_HU),
}


def build(name: Name) -> nn.Module:
    """A new network: images of `image` to logits (batch, 1, rows, columns). ValueError if it has no such name."""
    if name not in KINDS:
        raise ValueError(f"there is no network {name!r}; there are {', '.join(KINDS)}")
    return KINDS[name].build().to(memory_format=torch.channels_last)


def image(hu: Tensor, name: Name) -> Tensor:
    """A stack of 2 `REACH` + 1 slices, HU (batch, slice, rows, columns), as the network sees it: the slices within its
    reach through each of its windows, 0-1, axes (batch, window and slice, rows, columns)."""
    kind = KINDS[name]
    near = hu[:, REACH - kind.reach : hu.shape[1] - (REACH - kind.reach)].float()
    if kind.bin_hu:
        low = kind.windows_hu[0][0]
        near = low + kind.bin_hu * torch.floor((near - low) / kind.bin_hu)
    return torch.cat([scaled(near, window) for window in kind.windows_hu], 1)


class Served(nn.Module):
    """What is exported: probabilities, as float for the parity check and as UINT8 = round(255 p) to serve; shape
    (batch, channel, slice, row, column)."""

    def __init__(self, network: nn.Module, name: Name) -> None:
        super().__init__()
        self.network, self.name = network, name

    def forward(self, hu: Tensor) -> tuple[Tensor, Tensor]:
        images = [image(hu[:, k : k + 2 * REACH + 1], self.name) for k in range(ASKED)]
        logits = self.network(torch.stack(images, 1).flatten(0, 1))
        probability = torch.sigmoid(logits).unflatten(0, (-1, ASKED)).transpose(1, 2)
        return probability, torch.round(255.0 * probability).to(torch.uint8)
