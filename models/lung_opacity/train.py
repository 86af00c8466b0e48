"""Train the lung and opacity network.

    python -m models.lung_opacity.train --data DIR [--out models/runs/lung_opacity] [--held-out VOLUME ...]

DIR holds medseg9/, lung1/ and junma20/. What is trained stands in train.toml; the options change it. A stopped run
goes on where it was when the same command is given again.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pydantic import Field, PositiveInt
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from models.training import config, device, options
from models.training.loop import answer, train
from models.training.run import Run

from .augment import augment, with_partial_volume
from .augment_topff import augment_topff
from .data import LUNG1, MEDSEG9, Slices, joined, load, pictures
from .network import Name, build, image
from .spec import CHANNELS

HERE = Path(__file__).parent
OUT = Path("models/runs/lung_opacity")

_AUGMENTATIONS = {"scanners": augment, "topff": augment_topff}
_MEASURED = 16
"""Slices per call when measuring."""


class Config(config.Training):
    """Of train.toml. log_every, save_every: steps."""

    network: Name
    augmentation: Literal["scanners", "topff"]
    held_out: list[Literal[MEDSEG9]] = Field(max_length=len(MEDSEG9))
    steps: PositiveInt
    log_every: PositiveInt
    save_every: PositiveInt


def loss(logits: Tensor, masks: Tensor, supervised: Tensor) -> Tensor:
    """BCE + soft Dice per channel; opacity counts only where it is supervised.

    logits, masks: (batch, 2, n, n). supervised: 0/1 (batch, 1, n, n).
    """
    weight = torch.cat([torch.ones_like(supervised), supervised], 1)
    bce = (F.binary_cross_entropy_with_logits(logits, masks, reduction="none") * weight).sum() / weight.sum()
    p, axes = torch.sigmoid(logits) * weight, (0, 2, 3)
    dice = (2 * (p * masks).sum(axes) + 50) / ((p + masks * weight).sum(axes) + 50)
    return bce + (1 - dice).mean()


def slice_weights(slices: Slices) -> Tensor:
    """How often each slice is drawn: rarely without lung, often with opacity."""
    lung, opacity = slices.lung.any((1, 2)), slices.opacity.any((1, 2))
    return torch.from_numpy(np.where(opacity, 2.0, np.where(lung, 1.0, 0.4)))


@dataclass(frozen=True, slots=True, eq=False)
class LungsAndOpacities:
    """The task (`models.training.loop.Task`). weights: of `slice_weights`. unseen: held-out volumes by name."""

    config: Config
    slices: Slices
    weights: Tensor
    unseen: dict[str, Slices]

    def batch(self, step: int, random: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Images 0-1, masks of lung and opacity, and where opacity is supervised, of one step, augmented."""
        slices = self.slices
        chosen = torch.multinomial(self.weights, self.config.batch, replacement=True, generator=random).numpy()
        hu, below = (torch.from_numpy(array[chosen]).float()[:, None] for array in (slices.hu, slices.below))
        known = np.stack([slices.lung[chosen], slices.opacity[chosen], slices.supervised[chosen]], 1)
        hu, masks = with_partial_volume(hu, below, random), torch.from_numpy(known).float()
        hu, masks = _AUGMENTATIONS[self.config.augmentation](hu, masks, random)
        images = image(hu).contiguous(memory_format=torch.channels_last)
        return images, masks[:, :2], masks[:, 2:]

    def loss(self, outputs: Tensor, *rest: Tensor) -> Tensor:
        return loss(outputs, *rest)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Dice of lung and opacity of each held-out volume."""
        return {
            f"{volume} {channel}": dice
            for volume, slices in self.unseen.items()
            for channel, dice in zip(CHANNELS, dice_per_channel(network, slices), strict=True)
        }


def dice_per_channel(network: nn.Module, slices: Slices) -> list[float]:
    """Dice of lung and opacity over all slices, at probability 0.5, without post-processing."""
    hit, size = np.zeros(2), np.zeros(2)
    for k in range(0, len(slices.hu), _MEASURED):
        part = slice(k, k + _MEASURED)
        found = answer(network, image(torch.from_numpy(slices.hu[part])[:, None])).numpy() > 0
        truth = np.stack([slices.lung[part], slices.opacity[part]], 1) > 0
        hit += 2 * (found & truth).sum((0, 2, 3))
        size += found.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    return [round(float(d), 4) for d in hit / size]


def task(data: Path, settings: Config) -> LungsAndOpacities:
    """Everything of `data` but the held-out volumes to learn from, and those to measure on."""
    names = [name for name in MEDSEG9 + LUNG1 if name not in settings.held_out]
    slices = joined([load(data, names), pictures(data)])
    print(f"{len(slices.hu)} slices of {len(names)} volumes and of pictures", flush=True)
    unseen = {name: load(data, [name]) for name in settings.held_out}
    return LungsAndOpacities(settings, slices, slice_weights(slices), unseen)


def main() -> None:
    parser = options.parser(__doc__, HERE, OUT)
    parser.add_argument("--data", type=Path, required=True, help="folder with medseg9/, lung1/ and junma20/")
    changes = options.add_changes(parser, "VOLUME", MEDSEG9)
    changes.add_argument("--rate", type=float, help="highest learning rate")
    given = parser.parse_args()
    settings, where = options.settings(Config, given), device.use(given.device)
    run = Run.start(lambda: build(settings.network), settings, settings.steps, given.out, where)
    train(run, task(given.data, settings), settings.log_every, settings.save_every)


if __name__ == "__main__":
    main()
