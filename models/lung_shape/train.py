"""Train the network of the lungs' shape: from two lungs to their lobes, and to what was left out of them.

    python -m models.lung_shape.train --data DIR [--out models/runs/lung_shape] [--held-out PATIENT ...]

DIR is luna16-lobes. What is trained stands in train.toml; the options change it. A stopped run goes on where it was
when the same command is given again.
"""

from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import PositiveInt
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from models.training import config, device, options
from models.training.loop import train
from models.training.run import Run
from service.domain.anatomy import Lobe

from .augment import bent, bitten, roughened
from .boxes import Boxes
from .network import OF_SIDE, build, by_side

HERE = Path(__file__).parent
OUT = Path("models/runs/lung_shape")

_MISSING = 9.0
"""Further weight of what was left out of a lung: it is little beside the rest of a box."""


class Config(config.Training):
    """What train.toml holds. log_every, save_every: steps."""

    held_out: list[str]
    steps: PositiveInt
    log_every: PositiveInt
    save_every: PositiveInt


def loss(logits: Tensor, truth: Tensor, weight: Tensor) -> Tensor:
    """Cross entropy + soft Dice of the lobes and of "none", both sides. truth: 0-1 in the order of the logits, which
    sums to 1 on each side; weight: (batch, side, n, n, n)."""
    total = logits.new_zeros(())
    for side, (said, known) in enumerate(zip(by_side(logits), by_side(truth), strict=True)):
        log = F.log_softmax(said, 1)
        p, axes = log.exp(), (0, 2, 3, 4)
        dice = (2 * (p * known).sum(axes) + 100) / ((p + known).sum(axes) + 100)
        total = total - ((log * known).sum(1) * weight[:, side]).mean() + (1 - dice).mean()
    return total


@dataclass(frozen=True, slots=True, eq=False)
class LungShape:
    """The task (`models.training.loop.Task`). unseen: patients to measure on."""

    config: Config
    learned: Boxes
    unseen: Boxes

    def batch(self, step: int, random: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Lungs 0-1 as they might be found, then truth and weight of `loss`."""
        chosen = torch.randint(len(self.learned.names), (self.config.batch,), generator=random)
        lungs, lobes = (one[chosen].float() / 255.0 for one in (self.learned.lungs, self.learned.lobes))
        truth, whole = [], []
        for side, own in enumerate(lobes.split(OF_SIDE, 1)):
            moved = bent(torch.cat([lungs[:, side : side + 1], own], 1), random)
            whole.append(moved[:, :1])
            truth += [moved[:, 1:], 1.0 - moved[:, 1:].sum(1, keepdim=True).clamp(0.0, 1.0)]
        inside = torch.cat(whole, 1)
        left = torch.stack([torch.stack([bitten(lung, random) for lung in patient]) for patient in inside])
        missing = ((inside > 0.5) & (left < 0.5)).float()
        weight = 1.0 + _MISSING * F.avg_pool3d(missing, 3, 1, 1)
        seen = roughened(left, random).contiguous(memory_format=torch.channels_last_3d)
        return seen, torch.cat(truth, 1), weight

    def loss(self, outputs: Tensor, *rest: Tensor) -> Tensor:
        return loss(outputs, *rest)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Mean Dice of each lobe over the unseen patients, and what is found again of parts taken away."""
        return measured(network, self.unseen) if self.unseen.names else {}


@torch.no_grad()
def measured(network: nn.Module, unseen: Boxes) -> dict[str, float]:
    """Dice of the lobes within whole lungs; "again": the part found again of what was taken away, "beside": what is
    added to whole lungs, as a part of them."""
    network.eval()
    random = Generator().manual_seed(5)
    dice = torch.zeros(len(Lobe))
    again = beside = taken = all_of = 0.0
    for lungs, lobes in zip(unseen.lungs, unseen.lobes, strict=True):
        whole = lungs.float() / 255.0
        bites = torch.stack([bitten(lung, random) for lung in whole])
        said, said_bitten = (network(one[None]) for one in (whole, bites))
        found = torch.cat([side[0, :-1] for side in by_side(said)])
        for k, (own, truth) in enumerate(zip(_winners(found), _winners(lobes.float()), strict=True)):
            inside = whole[0 if k < OF_SIDE[0] else 1] > 0.5
            mine, its = own & inside, truth & inside
            dice[k] += 2.0 * (mine & its).sum() / (mine.sum() + its.sum()).clamp_min(1)
        lung, lung_bitten = _lung(said), _lung(said_bitten)
        missing = (whole > 0.5) & (bites <= 0.5)
        again, taken = again + float((lung_bitten & missing).sum()), taken + float(missing.sum())
        beside, all_of = beside + float((lung & (whole <= 0.5)).sum()), all_of + float((whole > 0.5).sum())
    names = {lobe.name: round(float(one), 4) for lobe, one in zip(Lobe, dice / len(unseen.names), strict=True)}
    return names | {"again": round(again / max(1.0, taken), 4), "beside": round(beside / all_of, 4)}


def _lung(logits: Tensor) -> Tensor:
    """Where lung is more likely than not, shape (side, n, n, n), of one patient."""
    return torch.stack([torch.softmax(side[0], 0)[-1] < 0.5 for side in by_side(logits)])


def _winners(lobes: Tensor) -> list[Tensor]:
    """Where each lobe is the most probable of its side."""
    sides = [side.argmax(0) for side in lobes.split(OF_SIDE, 0)]
    return [side == k for side, count in zip(sides, OF_SIDE, strict=True) for k in range(count)]


def task(boxes: Boxes, settings: Config) -> LungShape:
    """Every patient but the held-out ones to learn from, and those to measure on."""
    held_out = tuple(settings.held_out)
    return LungShape(settings, boxes.of(tuple(n for n in boxes.names if n not in held_out)), boxes.of(held_out))


def main() -> None:
    parser = options.parser(__doc__, HERE, OUT)
    parser.add_argument("--data", type=Path, required=True, help="folder with case01.nii.gz and so on")
    options.add_changes(parser, "PATIENT")
    given = parser.parse_args()
    settings = options.settings(Config, given)
    run = Run.start(build, settings, settings.steps, given.out, device.use(given.device))
    train(run, task(Boxes.read(given.data), settings), settings.log_every, settings.save_every)


if __name__ == "__main__":
    main()
