"""Train the tumour network.

    python -m models.lung_tumour.train --data DIR [--out models/runs/lung_tumour] [--held-out CT ...]

DIR holds train/ and dicom/. What is trained stands in train.toml; the options change it. A stopped run goes on where it
was when the same command is given again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from models.training import config, device, options
from models.training.loop import train
from models.training.run import Run

from . import bank, patches
from .augment import augment
from .data import Volume, read, variants
from .draw import Sources, Stack, tensors
from .measure import Unseen, measured, unseen
from .mosaic import mosaic
from .network import Name, build, image
from .series import CTS
from .transplant import donors

HERE = Path(__file__).parent
OUT = Path("models/runs/lung_tumour")

_SMOOTH = 20.0
"""Pixels added to both sides of Dice: false tumour in clear slices costs by its size."""


class Parts(config.Strict):
    """How often an example is of each kind; they are divided by their sum."""

    real: PositiveFloat
    pictures: PositiveFloat
    made: PositiveFloat
    clear: PositiveFloat


class Examples(config.Strict):
    """What is drawn. wide: part of the examples whose lung field is up to 5 cm too wide. domes: part of the clear ones
    that lie at the bases of the lungs, or below. generous: synthetic bodies are outlined as experts outline tumours.
    """

    parts: Parts
    wide: float = Field(ge=0.0, le=1.0)
    domes: float = Field(ge=0.0, le=1.0)
    generous: bool


class Again(config.Strict):
    """The second run, which goes on from the weights of the first, with other lesions. rate: the highest."""

    steps: PositiveInt
    rate: PositiveFloat
    examples: Examples


class Config(config.Training):
    """What train.toml holds.

    bank: made-up lesions. dice_first: steps in which cross entropy counts for a third only (paper D4). batch: stacks.
    log_every, save_every: steps. again: None for one run only.
    """

    network: Name
    held_out: list[Literal[CTS]] = Field(max_length=len(CTS) - 1)
    bank: PositiveInt
    examples: Examples
    dice_first: NonNegativeInt
    steps: PositiveInt
    log_every: PositiveInt
    save_every: PositiveInt
    again: Again | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Tumours:
    """The task. pictures: HU and tumour of `patches`. unseen: CTs to measure on."""

    config: Config
    sources: Sources
    pictures: tuple[NDArray[np.int16], NDArray[np.bool_]]
    unseen: Sequence[Unseen]

    def batch(self, step: int, random: Generator) -> tuple[Tensor, ...]:
        """Images, then tumour, known and the weight of cross entropy of `loss`, augmented."""
        drawn = np.random.default_rng(int(torch.randint(2**62, (), generator=random)))
        hu, edge, masks, centre = tensors([self._draw(drawn) for _ in range(self.config.batch)])
        hu, tumour, known = augment(hu, edge, masks, centre, random, self.config.examples.wide)
        weight = torch.tensor(1.0 / 3.0 if step < self.config.dice_first else 1.0)
        images = image(hu, self.config.network).contiguous(memory_format=torch.channels_last)
        return images, tumour, known, weight

    def _draw(self, random: np.random.Generator) -> Stack:
        """One example. Without a CT with an outlined tumour, a made-up one takes its place."""
        often = np.array(list(self.config.examples.parts.model_dump().values()))
        kind = int(random.choice(len(often), p=often / often.sum()))
        if kind == 0 and self.sources.tumours:
            return self.sources.real(random)
        if kind == 1:
            return mosaic(random, *self.pictures)
        return self.sources.clear(random, self.config.examples.domes) if kind == 3 else self.sources.made(random)

    def loss(self, outputs: Tensor, *rest: Tensor) -> Tensor:
        return loss(outputs, *rest)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """What `measured` tells of each unseen CT."""
        found = {one.name: measured(network, self.config.network, one) for one in self.unseen}
        return {f"{name} {key}": value for name, one in found.items() for key, value in one.items()}


def loss(logits: Tensor, tumour: Tensor, known: Tensor, weight: Tensor) -> Tensor:
    """Dice of each stack, and cross entropy times `weight`, where it is known. All but it (batch, 1, row, column)."""
    each = F.binary_cross_entropy_with_logits(logits, tumour, reduction="none")
    bce = (each * known).sum() / known.sum().clamp_min(1.0)
    p, truth = torch.sigmoid(logits) * known, tumour * known
    both = (p * truth).sum((1, 2, 3))
    dice = (2 * both + _SMOOTH) / (p.sum((1, 2, 3)) + truth.sum((1, 2, 3)) + _SMOOTH)
    return weight * bce + (1 - dice).mean()


def task(volumes: Mapping[str, Volume], folder: Path, settings: Config, measured_on: Sequence[Unseen]) -> Tumours:
    """All CTs but the held-out ones to learn from. folder: holds msd-lung-patches/."""
    learned = [one for name, volume in volumes.items() if name not in settings.held_out for one in variants(volume)]
    pictures = patches.read(folder)
    lesions = bank.made(settings.seed, settings.bank, learned, donors(learned, *pictures), settings.examples.generous)
    print(f"{sum(len(one.hu) for one in learned)} slices of {len(learned)} CTs, {len(lesions)} lesions", flush=True)
    return Tumours(settings, Sources.of(learned, lesions), pictures, measured_on)


def train_both(prepared: Callable[[Config], Tumours], settings: Config, out: Path, where: torch.device) -> None:
    """Both runs: the first in `out`/first, then the second, whose weights.pt in `out` are the result; or the only one.

    prepared: makes the task of a run from its configuration.
    """
    if settings.again is None:
        run = Run.start(lambda: build(settings.network), settings, settings.steps, out, where)
        train(run, prepared(settings), settings.log_every, settings.save_every)
        return
    first = out / "first"
    if not (first / "weights.pt").exists():
        run = Run.start(lambda: build(settings.network), settings, settings.steps, first, where)
        train(run, prepared(settings), settings.log_every, settings.save_every)
    changes = {"seed": settings.seed + 1, "dice_first": 0, "rate": settings.again.rate}
    own = settings.model_copy(update=changes | {"examples": settings.again.examples})
    run = Run.start(lambda: _of(settings.network, first / "weights.pt"), own, settings.again.steps, out, where)
    train(run, prepared(own), settings.log_every, settings.save_every)


def _of(network: Name, weights: Path) -> nn.Module:
    """The network as the first run left it."""
    built = build(network)
    built.load_state_dict(torch.load(weights, weights_only=True))
    return built


def main() -> None:
    parser = options.parser(__doc__, HERE, OUT)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and dicom/")
    options.add_changes(parser, "CT", CTS, "of the first run; those of the second stand in the configuration")
    given = parser.parse_args()
    settings, where = options.settings(Config, given), device.use(given.device)
    volumes = {name: read(given.data, name) for name in CTS}
    measured_on = unseen(given.data, [volumes[name] for name in settings.held_out])
    train_both(lambda own: task(volumes, given.data / "train", own, measured_on), settings, given.out, where)


if __name__ == "__main__":
    main()
