"""Train the opacity network with context.

    python -m models.opacity_context.train --data DIR [--out models/runs/opacity_context] [--held-out CT ...]

DIR holds train/ and dicom/. What is trained stands in train.toml; the options change it. A stopped run goes on where it
was when the same command is given again.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from models.networks.context_unet import ContextUnet
from models.networks.reach import REACH
from models.training import config, device
from models.training.loop import train
from models.training.run import Run

from .augment import augment, moving
from .data import CTS, Stack, domes_of, pictures, read, variants
from .network import Name, build, image

HERE = Path(__file__).parent
OUT = Path("models/runs/opacity_context")

_PICTURES = 0.35
"""Part of the slices that are pictures without neighbours; half as many of the stacks."""

_SEEN_ALONE, _SEEN = 0.75, 0.5
"""Sides of the windows that are learned of single slices and of stacks, as part of the slice."""

_SINGLE = 2
"""Stacks of 10 slices that are no neighbours, in the steps that the main branch learns alone."""

_MEASURED = 8
"""Slices per call when measuring."""


class Config(config.Training):
    """What train.toml holds.

    single: steps that the main branch learns alone, of slices of different CTs; then both learn.
    asked: slices of each stack that the attention branch learns. log_every, save_every: steps.
    """

    network: Name
    held_out: list[Literal[CTS]] = Field(max_length=len(CTS) - 1)
    asked: PositiveInt
    single: NonNegativeInt
    steps: PositiveInt
    log_every: PositiveInt
    save_every: PositiveInt


def loss(logits: Tensor, lung: Tensor, opacity: Tensor, supervised: Tensor, neighbours: Tensor) -> Tensor:
    """How wrong the main branch is on all slices, and both branches on those in the middle.

    logits: of `ContextUnet`, (batch, n + m, 2, size, size). The others: (batch, n, size, size) 0/1. neighbours:
    (batch,) 1 where the slices of a stack are neighbours.
    """
    masks, known = torch.stack([lung, opacity], 2), supervised[:, :, None]
    count = lung.shape[1]
    asked = slice(REACH, count - REACH)
    here = neighbours.view(-1, 1, 1, 1, 1)
    main = _loss(logits[:, :count], masks, torch.cat([torch.ones_like(known), known], 2))
    if logits.shape[1] == count:
        return main
    weight = torch.cat([torch.ones_like(known), known], 2)[:, asked] * here
    return 0.5 * main + _loss(logits[:, count:], masks[:, asked], weight)


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
class Opacities:
    """The task (`models.training.loop.Task`). stacks: of each CT, with `slice_weights`. unseen: held-out CTs."""

    config: Config
    stacks: list[list[tuple[Stack, Tensor]]]
    pictures: Stack
    unseen: list[Stack]

    def batch(self, step: int, random: Generator) -> tuple[Tensor, ...]:
        """Stacks 0-1, then lung, opacity, supervised and neighbours of `loss`, augmented."""
        return self._single(random) if step < self.config.single else self._stacks(random)

    def _single(self, random: Generator) -> tuple[Tensor, ...]:
        """Slices of different CTs and pictures, in stacks that are too small to have a middle."""
        drawn = [self._draw(3, _PICTURES, random) for _ in range(_SINGLE * 2 * REACH)]
        hu, *masks = (torch.from_numpy(np.stack(parts)).float() for parts in zip(*(d[:4] for d in drawn), strict=True))
        here = slice(1, 2)
        found = augment(moving(hu, random)[:, here], *(mask[:, here] for mask in masks), _SEEN_ALONE, random)
        hu, *masks = (one[:, 0].unflatten(0, (_SINGLE, 2 * REACH)) for one in found)
        return image(hu), *masks, torch.zeros(_SINGLE)

    def _stacks(self, random: Generator) -> tuple[Tensor, ...]:
        """Neighbouring slices."""
        count = self.config.asked + 2 * REACH
        drawn = [self._draw(count, _PICTURES / 2, random) for _ in range(self.config.batch)]
        hu, *masks = (torch.from_numpy(np.stack(parts)).float() for parts in zip(*(d[:4] for d in drawn), strict=True))
        hu, *masks = augment(moving(hu, random), *masks, _SEEN, random)
        return image(hu), *masks, torch.tensor([float(d[4]) for d in drawn])

    def _draw(self, count: int, pictures: float, random: Generator) -> tuple[NDArray[Any], ...]:
        """Slices of one CT, or of pictures: HU, lung, opacity, supervised and neighbours, before augmentation."""
        if float(torch.rand((), generator=random)) < pictures:
            where = torch.randint(len(self.pictures.hu), (count if count > 3 else 1,), generator=random).numpy()
            stack, where, neighbours = self.pictures, np.resize(where, count), 0.0
        else:
            stack, where, neighbours = *self._slices(count, random), 1.0
        arrays = (stack.hu, stack.lung, stack.opacity, stack.supervised)
        return *(array[where] for array in arrays), np.array(neighbours, np.float32)

    def _slices(self, count: int, random: Generator) -> tuple[Stack, NDArray[Any]]:
        patient = self.stacks[int(torch.multinomial(self._patients, 1, generator=random))]
        stack, weights = patient[int(torch.randint(len(patient), (), generator=random))]
        middle = int(torch.multinomial(weights, 1, generator=random))
        off = (count - 2 * REACH) // 2
        if off > 0:
            middle += int(torch.randint(-off, off + 1, (), generator=random))
        first = middle - count // 2
        return stack, np.clip(np.arange(first, first + count), 0, len(stack.hu) - 1)

    @property
    def _patients(self) -> Tensor:
        """Labelled opacities twice as often as clear lungs."""
        return torch.tensor([2.0 if stacks[0][0].opacity.any() else 1.0 for stacks in self.stacks])

    def loss(self, outputs: Tensor, *rest: Tensor) -> Tensor:
        return loss(outputs, *rest)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """What `measured` tells of each held-out CT."""
        found = {stack.name: measured(network, stack) for stack in self.unseen}
        return {f"{name} {key}": value for name, one in found.items() for key, value in one.items()}


def probabilities(network: nn.Module, stack: Stack) -> NDArray[np.float32]:
    """What the network says of every slice, 0-1, axes (channel, slice, row, column): lung, opacity, and opacity by the
    main branch alone."""
    assert isinstance(network, ContextUnet)
    network.eval()
    count, device = len(stack.hu), next(network.parameters()).device
    padded = np.pad(stack.hu, ((REACH, REACH + _MEASURED), (0, 0), (0, 0)), mode="edge")
    said = []
    for k in range(0, count, _MEASURED):
        hu = torch.from_numpy(padded[k : k + _MEASURED + 2 * REACH])[None]
        with torch.no_grad():
            main, found = network.branches(image(hu.to(device)))
        said.append(torch.sigmoid(torch.cat([found, main[:, :, 1:]], 2))[0].cpu().numpy())
    return np.concatenate(said)[:count].swapaxes(0, 1)


def measured(network: nn.Module, stack: Stack) -> dict[str, float]:
    """At probability 0.5, without post-processing, opacity within the lungs of the labels."""
    lung, opacity, alone = probabilities(network, stack) >= 0.5
    truth, inside, known = stack.opacity > 0, stack.lung > 0, stack.supervised > 0
    found = opacity & inside & known
    domes = domes_of(stack)
    result = {"lung": _dice(lung, inside)}
    if truth.any():
        result |= {"opacity": _dice(found, truth), "domes": _dice(found & domes, truth & domes)}
        result |= {"too much": round(float(found.sum() / truth.sum()) - 1.0, 3)}
        by_itself = alone & inside & known
        result |= {"alone": _dice(by_itself, truth), "alone at domes": _dice(by_itself & domes, truth & domes)}
    else:
        result |= {"false percent": round(100.0 * float(found.sum() / (inside & known).sum()), 3)}
    return result


def _dice(found: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    total = np.count_nonzero(found) + np.count_nonzero(truth)
    return round(2 * np.count_nonzero(found & truth) / total, 4) if total else 1.0


def task(stacks: Mapping[str, Stack], data: Path, settings: Config) -> Opacities:
    """Every stack but the held-out ones to learn from, and those to measure on. data: holds train/junma20/."""
    learned = [stack for name, stack in stacks.items() if name not in settings.held_out]
    print(f"{sum(len(stack.hu) for stack in learned)} slices of {len(learned)} CTs", flush=True)
    weighted = [[(one, slice_weights(one)) for one in variants(stack)] for stack in learned]
    return Opacities(settings, weighted, pictures(data / "train"), [stacks[name] for name in settings.held_out])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and dicom/")
    parser.add_argument("--config", type=Path, default=HERE / "train.toml", help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=OUT, help="checkpoint, log, curves and weights; %(default)s")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="auto: a GPU if there is one")
    changes = parser.add_argument_group("instead of the configuration's")
    changes.add_argument("--held-out", nargs="*", choices=CTS, metavar="CT", help="measure on these")
    changes.add_argument("--steps", type=int)
    changes.add_argument("--seed", type=int)
    options = parser.parse_args()
    overrides = {key: getattr(options, key) for key in ("held_out", "steps", "seed")}
    settings = config.read(Config, options.config, {k: v for k, v in overrides.items() if v is not None})
    where = device.use(options.device)
    run = Run.start(lambda: build(settings.network), settings, settings.steps, options.out, where)
    train(run, task(read(options.data), options.data, settings), settings.log_every, settings.save_every)


if __name__ == "__main__":
    main()
