"""Train the lung and opacity network.

    python -m models.lung_opacity.train --data DIR [--out models/runs/lung_opacity] [--steps 600]

DIR holds medseg9/, lung1/ and junma20/. Every step draws its slices and its augmentation from a generator seeded by the step,
so a stopped run goes on where it was and ends with the weights of a run that was never stopped.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from .augment import augment
from .data import LUNG1, MEDSEG9, Slices, joined, load, pictures
from .network import LungOpacityNet

BATCH = 16
SAVE_EVERY = 100


def loss(logits: Tensor, masks: Tensor, supervised: Tensor) -> Tensor:
    """BCE + soft Dice per channel; opacity counts only where it was labelled. supervised: bool (batch,)."""
    weight = torch.ones_like(masks)
    weight[:, 1] = supervised.view(-1, 1, 1).float()
    bce = (F.binary_cross_entropy_with_logits(logits, masks, reduction="none") * weight).sum() / weight.sum()
    p, axes = torch.sigmoid(logits) * weight, (0, 2, 3)
    dice = (2 * (p * masks).sum(axes) + 50) / ((p + masks * weight).sum(axes) + 50)
    return bce + (1 - dice).mean()


def slice_weights(slices: Slices) -> Tensor:
    """How often each slice is drawn: rarely without lung, often with opacity."""
    lung, opacity = slices.lung.any((1, 2)), slices.opacity.any((1, 2))
    return torch.from_numpy(np.where(opacity, 2.0, np.where(lung, 1.0, 0.4)))


def step_batch(slices: Slices, weights: Tensor, seed: int, step: int) -> tuple[Tensor, Tensor, Tensor]:
    """hu, masks and supervised flags of one step, augmented."""
    random = torch.Generator().manual_seed(seed * 1_000_003 + step)
    chosen = torch.multinomial(weights, BATCH, replacement=True, generator=random).numpy()
    hu = torch.from_numpy(slices.hu[chosen]).float()[:, None]
    masks = torch.from_numpy(np.stack([slices.lung[chosen], slices.opacity[chosen]], 1)).float()
    return *augment(hu, masks, random), torch.from_numpy(slices.supervised[chosen])


@torch.no_grad()
def dice_per_channel(network: torch.nn.Module, slices: Slices) -> list[float]:
    """Dice of lung and opacity over all slices, at probability 0.5, without post-processing."""
    network.eval()
    hit, size = np.zeros(2), np.zeros(2)
    for k in range(0, len(slices.hu), BATCH):
        found = network(torch.from_numpy(slices.hu[k : k + BATCH])[:, None]).numpy() > 0
        truth = np.stack([slices.lung[k : k + BATCH], slices.opacity[k : k + BATCH]], 1) > 0
        hit += 2 * (found & truth).sum((0, 2, 3))
        size += found.sum((0, 2, 3)) + truth.sum((0, 2, 3))
    return [round(float(d), 4) for d in hit / size]


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that changes while training, and where it is kept."""

    network: LungOpacityNet
    average: AveragedModel
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    steps: int
    checkpoint: Path

    @classmethod
    def start(cls, out: Path, steps: int, seed: int, rate: float) -> Self:
        torch.use_deterministic_algorithms(True)
        torch.manual_seed(seed)
        network = LungOpacityNet().to(memory_format=torch.channels_last)  # a fifth faster on CPUs
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(0.99), use_buffers=True)
        optimiser = torch.optim.AdamW(network.parameters(), weight_decay=1e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps, pct_start=0.15)
        return cls(network, average, optimiser, schedule, steps, out / "checkpoint.pt")

    @property
    def parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("network", "average", "optimiser", "schedule")}

    def save(self, step: int) -> None:
        states = {name: part.state_dict() for name, part in self.parts.items()}
        torch.save(states | {"step": step, "steps": self.steps}, self.checkpoint)

    def restore(self) -> int:
        """The step to go on with; 0 for a new run."""
        if not self.checkpoint.exists():
            return 0
        saved = torch.load(self.checkpoint, weights_only=True)
        if saved["steps"] != self.steps:
            raise SystemExit(f"{self.checkpoint} belongs to a run of {saved['steps']} steps; use another --out")
        for name, part in self.parts.items():
            part.load_state_dict(saved[name])
        return int(saved["step"])

    def learn(self, hu: Tensor, masks: Tensor, supervised: Tensor) -> float:
        """One step; returns its loss."""
        self.network.train()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = self.network(hu.contiguous(memory_format=torch.channels_last))
        value = loss(logits.float(), masks, supervised)
        self.optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.network)
        return float(value.item())


def train(data: Path, out: Path, held_out: Sequence[str], steps: int, seed: int, rate: float) -> None:
    """Train on all but `held_out`, or go on; writes weights.pt, and prints a line of JSON at every checkpoint."""
    out.mkdir(parents=True, exist_ok=True)
    run = Run.start(out, steps, seed, rate)
    first = run.restore()
    names = [name for name in MEDSEG9 + LUNG1 if name not in held_out]
    slices, unseen = joined([load(data, names), pictures(data)]), {name: load(data, [name]) for name in held_out}
    weights, started = slice_weights(slices), time.monotonic()
    print(f"{len(slices.hu)} slices of {len(names)} volumes and of pictures; step {first} of {steps}", flush=True)
    for step in range(first + 1, steps + 1):
        value = run.learn(*step_batch(slices, weights, seed, step - 1))
        if step % SAVE_EVERY == 0 or step == steps:
            run.save(step)
            dice = {name: dice_per_channel(run.average.module, part) for name, part in unseen.items()}
            line = {"step": step, "loss": round(value, 4), "seconds": round(time.monotonic() - started)}
            print(json.dumps(line | {"held_out_dice": dice}), flush=True)
    torch.save(run.average.module.state_dict(), out / "weights.pt")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with medseg9/, lung1/ and junma20/")
    parser.add_argument("--out", type=Path, default=Path("models/runs/lung_opacity"), help="checkpoints and weights")
    parser.add_argument("--held-out", nargs="*", default=[], choices=MEDSEG9, metavar="VOLUME", help="leave these out")
    parser.add_argument("--steps", type=int, default=600, help=f"of {BATCH} slices each")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=3e-3, help="highest learning rate")
    options = parser.parse_args()
    train(options.data, options.out, options.held_out, options.steps, options.seed, options.rate)


if __name__ == "__main__":
    main()
