"""Train the opacity network with context.

    python -m models.opacity_context.train --data DIR [--out models/runs/opacity_context] [--held-out CT ...]

DIR holds train/ and dicom/. What is trained stands in train.toml; the options change it. A stopped run goes on where it
was when the same command is given again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from models.networks.context_unet import ContextUnet
from models.networks.reach import REACH
from models.training import config, device, options
from models.training.loop import train
from models.training.run import Run

from .augment import augment, moving
from .data import CTS, Stack, domes_of, pictures, read, variants
from .network import Name, build, image

HERE = Path(__file__).parent
OUT = Path("models/runs/opacity_context")

_PICTURES = 0.35
"""Part of the slices that are pictures without neighbours; half as many of the stacks."""

_SEEN_ALONE, _SEEN, _SEEN_IN_CONTEXT = 0.75, 0.5, 0.75
"""Sides of the windows that are learned of single slices, of stacks, and by the attention branch alone, as part of the
slice."""

_MEASURED = 8
"""Slices per call when measuring."""


class Attention(config.Strict):
    """The second run, of the attention branch alone; for the rest it is trained as the first. rate: the highest."""

    steps: PositiveInt
    rate: PositiveFloat


class Config(config.Training):
    """What train.toml holds.

    single: steps of slices of different CTs, by which only the main branch learns; then come stacks, and both learn.
    slices: of the former steps, a multiple of 10. batch: stacks of the others. asked: slices of each stack that the
    answer is learned for. log_every, save_every: steps.
    """

    network: Name
    held_out: list[Literal[CTS]] = Field(max_length=len(CTS) - 1)
    single: NonNegativeInt
    slices: PositiveInt = Field(multiple_of=2 * REACH)
    asked: PositiveInt
    steps: PositiveInt
    log_every: PositiveInt
    save_every: PositiveInt
    attention: Attention


def loss(logits: Tensor, lung: Tensor, opacity: Tensor, supervised: Tensor, neighbours: Tensor) -> Tensor:
    """How wrong the main branch is on all slices, and the answer on those in the middle.

    logits: of `ContextUnet` while it learns. The others: (batch, n, size, size) 0/1. neighbours: (batch,) 1 where the
    slices of a stack are neighbours.
    """
    count = lung.shape[1]
    masks, weight = _truth(lung, opacity, supervised)
    main = _loss(logits[:, :count], masks, weight)
    if logits.shape[1] == count:
        return main
    _, found = _in_the_middle(logits, masks, weight, neighbours)
    return 0.5 * main + found


def loss_in_context(logits: Tensor, lung: Tensor, opacity: Tensor, supervised: Tensor, neighbours: Tensor) -> Tensor:
    """How wrong the attention branch and the answer are; as `loss`. The branch is told for itself: else it leaves
    everything to the main branch, which has learned."""
    attention, found = _in_the_middle(logits, *_truth(lung, opacity, supervised), neighbours)
    return attention + found


def _truth(lung: Tensor, opacity: Tensor, supervised: Tensor) -> tuple[Tensor, Tensor]:
    """Masks of both channels, and where they are known."""
    known = supervised[:, :, None]
    return torch.stack([lung, opacity], 2), torch.cat([torch.ones_like(known), known], 2)


def _in_the_middle(logits: Tensor, masks: Tensor, weight: Tensor, neighbours: Tensor) -> tuple[Tensor, Tensor]:
    """The losses of the attention branch and of the answer."""
    count = masks.shape[1]
    middle = slice(REACH, count - REACH)
    masks, weight = masks[:, middle], weight[:, middle] * neighbours.view(-1, 1, 1, 1, 1)
    attention, found = (_loss(part, masks, weight) for part in logits[:, count:].chunk(2, 1))
    return attention, found


def _loss(logits: Tensor, masks: Tensor, weight: Tensor) -> Tensor:
    """BCE + soft Dice per channel where the weight is 1. All (batch, slice, channel, row, column)."""
    each = F.binary_cross_entropy_with_logits(logits, masks, reduction="none")
    bce = (each * weight).sum() / weight.sum().clamp_min(1.0)
    p, axes = torch.sigmoid(logits) * weight, (0, 1, 3, 4)
    dice = (2 * (p * masks).sum(axes) + 50) / ((p + masks * weight).sum(axes) + 50)
    return bce + (1 - dice).mean()


def slice_weights(stack: Stack) -> Tensor:
    """How often each slice is the middle of what is drawn: often at domes and with opacity, rarely without lung."""
    lung, opacity = stack.lung.any((1, 2)), stack.opacity.any((1, 2))
    domes = domes_of(stack).any((1, 2))
    return torch.from_numpy(np.where(lung, 1.0, 0.15) + 1.0 * opacity + 0.7 * domes)


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """A stack among `Opacities.hu`: its first slice, how often each of its slices is the middle of what is drawn, and
    whether it holds labelled opacity."""

    first: int
    weights: Tensor
    opacity: bool


@dataclass(frozen=True, slots=True, eq=False)
class Opacities:
    """The task (`models.training.loop.Task`).

    hu: INT16, all slices of all stacks and then the pictures, on the device that computes. masks: uint8 (slice, 3, row,
    column): lung, opacity, supervised. patients: the stacks of each CT. pictures: how many slices without neighbours.
    unseen: held-out CTs.
    """

    config: Config
    hu: Tensor
    masks: Tensor
    patients: list[list[Learned]]
    pictures: int
    unseen: list[Stack]

    def batch(self, step: int, random: Generator) -> tuple[Tensor, ...]:
        """Stacks 0-1, then lung, opacity, supervised and neighbours of `loss`, augmented."""
        return self._single(random) if step < self.config.single else self.stacks(_SEEN, random)

    def _single(self, random: Generator) -> tuple[Tensor, ...]:
        """Slices of different CTs and pictures, in stacks that are too small to have a middle."""
        hu, masks, _, random = self._drawn(self.config.slices, 3, _PICTURES, random)
        lung, opacity, known = masks[:, :, 1:2]
        found = augment(moving(hu, random)[:, 1:2], lung, opacity, known, _SEEN_ALONE, random)
        hu, *rest = (one[:, 0].unflatten(0, (-1, 2 * REACH)) for one in found)
        return image(hu), *rest, torch.zeros(len(hu))

    def stacks(self, seen: float, random: Generator) -> tuple[Tensor, ...]:
        """Neighbouring slices. seen: side of the windows, as part of the slice."""
        count = self.config.asked + 2 * REACH
        hu, masks, neighbours, random = self._drawn(self.config.batch, count, _PICTURES / 2, random)
        lung, opacity, known = masks
        hu, *rest = augment(moving(hu, random), lung, opacity, known, seen, random)
        return image(hu), *rest, neighbours

    def _drawn(
        self, stacks: int, count: int, pictures: float, random: Generator
    ) -> tuple[Tensor, Tensor, Tensor, Generator]:
        """HU (stack, count, row, column), masks (3, *shape of HU), 1 for stacks of neighbours, before augmentation; and
        what is random from there on, where it is computed."""
        chosen, neighbours = zip(*(self._draw(count, pictures, random) for _ in range(stacks)), strict=True)
        where = torch.stack(chosen).to(self.hu.device)
        if self.hu.device.type != "cpu":
            random = Generator(self.hu.device).manual_seed(int(torch.randint(2**62, (), generator=random)))
        return self.hu[where].float(), self.masks[where].movedim(2, 0).float(), torch.tensor(neighbours), random

    def _draw(self, count: int, pictures: float, random: Generator) -> tuple[Tensor, float]:
        """Which slices: of one CT, or pictures; and 1 for neighbours."""
        if float(torch.rand((), generator=random)) >= pictures:
            return self._slices(count, random), 1.0
        several = count if count > 3 else 1
        where = len(self.hu) - self.pictures + torch.randint(self.pictures, (several,), generator=random)
        return where.expand(count), 0.0

    def _slices(self, count: int, random: Generator) -> Tensor:
        often = torch.tensor([2.0 if stacks[0].opacity else 1.0 for stacks in self.patients])
        patient = self.patients[int(torch.multinomial(often, 1, generator=random))]
        stack = patient[int(torch.randint(len(patient), (), generator=random))]
        middle = int(torch.multinomial(stack.weights, 1, generator=random))
        off = (count - 2 * REACH) // 2
        if off > 0:
            middle += int(torch.randint(-off, off + 1, (), generator=random))
        first = middle - count // 2
        return stack.first + torch.arange(first, first + count).clamp(0, len(stack.weights) - 1)

    def loss(self, outputs: Tensor, *rest: Tensor) -> Tensor:
        return loss(outputs, *rest)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """What `measured` tells of each held-out CT."""
        found = {stack.name: measured(network, stack) for stack in self.unseen}
        return {f"{name} {key}": value for name, one in found.items() for key, value in one.items()}


@dataclass(frozen=True, slots=True, eq=False)
class InContext(Opacities):
    """The task of the attention branch alone: what the slices around tell."""

    def batch(self, step: int, random: Generator) -> tuple[Tensor, ...]:
        return self.stacks(_SEEN_IN_CONTEXT, random)

    def loss(self, outputs: Tensor, *rest: Tensor) -> Tensor:
        return loss_in_context(outputs, *rest)


def probabilities(network: nn.Module, stack: Stack) -> NDArray[np.float32]:
    """What the network says of every slice, 0-1, axes (channel, slice, row, column): lung, opacity, and opacity by the
    main branch and by the attention branch alone."""
    assert isinstance(network, ContextUnet)
    network.eval()
    count, device = len(stack.hu), next(network.parameters()).device
    padded = np.pad(stack.hu, ((REACH, REACH + _MEASURED), (0, 0), (0, 0)), mode="edge")
    said = []
    for k in range(0, count, _MEASURED):
        hu = torch.from_numpy(padded[k : k + _MEASURED + 2 * REACH])[None]
        with torch.no_grad():
            main, context, found = network.branches(image(hu.to(device)))
        said.append(torch.sigmoid(torch.cat([found, main[:, :, 1:], context[:, :, 1:]], 2))[0].cpu().numpy())
    return np.concatenate(said)[:count].swapaxes(0, 1)


def measured(network: nn.Module, stack: Stack) -> dict[str, float]:
    """At probability 0.5, without post-processing, opacity within the lungs of the labels."""
    lung, opacity, main, attention = probabilities(network, stack) >= 0.5
    truth, inside, known = stack.opacity > 0, stack.lung > 0, stack.supervised > 0
    found = opacity & inside & known
    domes = domes_of(stack)
    result = {"lung": _dice(lung, inside)}
    if truth.any():
        result |= {"opacity": _dice(found, truth), "domes": _dice(found & domes, truth & domes)}
        result |= {"too much": round(float(found.sum() / truth.sum()) - 1.0, 3)}
        result |= {"main": _dice(main & inside & known, truth), "attention": _dice(attention & inside & known, truth)}
    else:
        result |= {"false percent": round(100.0 * float(found.sum() / (inside & known).sum()), 3)}
    return result


def _dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    total = np.count_nonzero(found) + np.count_nonzero(truth)
    return round(2 * np.count_nonzero(found & truth) / total, 4) if total else 1.0


def task(stacks: Mapping[str, Stack], pictures: Stack, settings: Config, where: torch.device) -> Opacities:
    """Every stack but the held-out ones to learn from, and those to measure on."""
    learned = [stack for name, stack in stacks.items() if name not in settings.held_out]
    print(f"{sum(len(stack.hu) for stack in learned)} slices of {len(learned)} CTs", flush=True)
    patients, parts, first = list[list[Learned]](), list[Stack](), 0
    for stack in learned:
        patients.append([])
        for one in variants(stack):
            patients[-1].append(Learned(first, slice_weights(one), bool(one.opacity.any())))
            parts.append(one)
            first += len(one.hu)
    parts.append(pictures)
    hu = torch.from_numpy(np.concatenate([part.hu for part in parts]))
    masks = torch.from_numpy(
        np.concatenate([np.stack([part.lung, part.opacity, part.supervised], 1) for part in parts])
    )
    unseen = [stacks[name] for name in settings.held_out]
    return Opacities(settings, hu.to(where), masks.to(where), patients, len(pictures.hu), unseen)


def train_both(learned: Opacities, settings: Config, out: Path, where: torch.device) -> None:
    """Both runs: of the whole network, in `out`/first, then of its attention branch alone, whose weights.pt in `out`
    are the result."""
    first = out / "first"
    if not (first / "weights.pt").exists():
        run = Run.start(lambda: build(settings.network), settings, settings.steps, first, where)
        train(run, learned, settings.log_every, settings.save_every)
    own = settings.model_copy(update={"rate": settings.attention.rate})
    run = Run.start(lambda: _of(settings.network, first / "weights.pt"), own, settings.attention.steps, out, where)
    in_context = InContext(*(getattr(learned, field.name) for field in fields(learned)))
    train(run, in_context, settings.log_every, settings.save_every)


def _of(network: Name, weights: Path) -> ContextUnet:
    """The network as the first run left it, of which only the attention branch goes on."""
    built = build(network)
    built.load_state_dict(torch.load(weights, weights_only=True))
    return built.learn_attention()


def main() -> None:
    parser = options.parser(__doc__, HERE, OUT)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and dicom/")
    options.add_changes(parser, "CT", CTS, "of the first run; those of the second stand in the configuration")
    given = parser.parse_args()
    settings, where = options.settings(Config, given), device.use(given.device)
    learned = task(read(given.data), pictures(given.data / "train"), settings, where)
    train_both(learned, settings, given.out, where)


if __name__ == "__main__":
    main()
