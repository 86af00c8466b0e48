"""Train the lesion network of covid-triage.

    python -m models.triage_lesion.train --data DIR [--out models/runs/triage_lesion] [--held-out CT ...]

DIR holds train/ and dicom/. With --prepared FILE, a file that `models.triage_lesion.data` wrote, nothing but torch,
NumPy and SciPy is needed: so a machine that has a GPU and no DICOM can train. What is trained stands in train.toml; the
options change it. Patches are cut and changed where the network computes. A stopped run goes on where it was when the
same command is given again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import PositiveInt
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from models.networks.unet3d_plus_plus import Unet3dPlusPlus
from models.training import config, device
from models.training.loop import train
from models.training.options import settings as read_settings
from models.training.run import Run

from .augment import augment, only_lung, placed
from .network import Name, build, image
from .options import parse
from .volumes import AIR_HU, Volume, load, voxels_of

HERE = Path(__file__).parent
OUT = Path("models/runs/triage_lesion")

_PATCH = (48, 96, 96)
"""Smaller than what is served: more patients in a step of the same time."""

_AT_LESION = 0.6
"""Part of the patches that are centred on a lesion, where there is any; the others lie anywhere in the lungs."""

_OUTSIDE = 0.1
"""Weight of a voxel outside the lungs: all of them look the same."""

_DIVISOR = 16


class Config(config.Training):
    """What train.toml holds. log_every, save_every: steps."""

    network: Name
    held_out: list[str]
    steps: PositiveInt
    log_every: PositiveInt
    save_every: PositiveInt


def loss(logits: Tensor, lesion: Tensor, weight: Tensor) -> Tensor:
    """BCE + soft Dice of every head, the mean of them. logits: (batch, heads, ...); the others (batch, 1, ...)."""
    truth = lesion.expand_as(logits)
    each = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    bce = (each * weight).sum((0, 2, 3, 4)) / weight.sum().clamp_min(1.0)
    p, axes = torch.sigmoid(logits) * weight, (0, 2, 3, 4)
    dice = (2 * (p * truth).sum(axes) + 500) / ((p + truth * weight).sum(axes) + 500)
    return (bce + 1 - dice).mean()


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A volume where the network computes. hu: int16. masks: uint8 lung, lesion, known. The others: voxels that may be
    a patch's centre, on the CPU, (n, 3)."""

    hu: Tensor
    masks: Tensor
    lung_at: Tensor
    lesion_at: Tensor

    @classmethod
    def of(cls, volume: Volume, where: torch.device) -> "Source":
        masks = torch.from_numpy(np.stack([volume.lung, volume.lesion, volume.known]).astype(np.uint8))
        hu = torch.from_numpy(volume.hu).to(where)
        lung_at, lesion_at = (torch.from_numpy(voxels_of(mask)) for mask in (volume.lung, volume.lesion & volume.lung))
        return cls(hu, masks.to(where), lung_at, lesion_at)


@dataclass(frozen=True, slots=True, eq=False)
class Lesions:
    """The task (`models.training.loop.Task`). unseen: held-out CTs."""

    config: Config
    sources: list[Source]
    unseen: list[Volume]
    where: torch.device

    @property
    def _share(self) -> Tensor:
        """Labelled lesions are drawn twice as often as clear lungs."""
        return torch.tensor([2.0 if len(source.lesion_at) else 1.0 for source in self.sources])

    def batch(self, step: int, random: Generator) -> tuple[Tensor, ...]:
        """Patches 0-1, then lesion and weight of `loss`; all (batch, 1, slice, row, column)."""
        drawn = [self._draw(random) for _ in range(self.config.batch)]
        here = Generator(self.where).manual_seed(int(torch.randint(2**62, (), generator=random)))
        with self.where:
            hu = torch.stack([hu for hu, _ in drawn])
            lung, lesion, known = torch.stack([masks for _, masks in drawn], 1)
            hu, seen, lesion = augment(hu, lung, lesion, here)
            weight = known * (seen + _OUTSIDE * (1 - seen))
            return image(hu)[:, None], lesion[:, None], weight[:, None]

    def _draw(self, random: Generator) -> tuple[Tensor, Tensor]:
        source = self.sources[int(torch.multinomial(self._share, 1, generator=random))]
        at_lesion = float(torch.rand((), generator=random)) < _AT_LESION and len(source.lesion_at) > 0
        places = source.lesion_at if at_lesion else source.lung_at
        centre = places[int(torch.randint(len(places), (), generator=random))].float()
        pan = torch.rand(3, generator=random) - 0.5
        centre = centre + pan * torch.tensor(_PATCH) * 0.6
        return placed(source.hu, source.masks, centre, _PATCH, torch.ones(3), random)

    def loss(self, outputs: Tensor, *rest: Tensor) -> Tensor:
        return loss(outputs, *rest)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """What `measured` tells of each held-out CT."""
        found = {volume.name: measured(network, volume) for volume in self.unseen}
        return {f"{name} {key}": value for name, one in found.items() for key, value in one.items()}


@torch.no_grad()
def probabilities(network: nn.Module, volume: Volume) -> np.ndarray[Any, np.dtype[np.float32]]:
    """What the network says of every voxel, the whole volume at once, 0-1."""
    assert isinstance(network, Unet3dPlusPlus)
    network.eval()
    hu = only_lung(torch.from_numpy(volume.hu).float(), torch.from_numpy(volume.lung))
    room = [edge for side in reversed(hu.shape) for edge in (0, -side % _DIVISOR)]
    padded = F.pad(hu, room, value=float(AIR_HU)).to(next(network.parameters()).device)
    said = torch.sigmoid(network(image(padded)[None, None]))[0, 0].cpu().numpy()
    return np.asarray(said[tuple(slice(side) for side in hu.shape)])


def measured(network: nn.Module, volume: Volume) -> dict[str, float]:
    """Dice at probability 0.5 in the labelled lungs; where there is no lesion, the part of the lungs in percent."""
    inside = volume.lung & volume.known
    found, truth = (probabilities(network, volume) >= 0.5) & inside, volume.lesion & inside
    if not truth.any():
        return {"false percent": round(100.0 * float(found.sum() / inside.sum()), 3)}
    return {"dice": round(2.0 * float((found & truth).sum() / (found.sum() + truth.sum())), 4)}


def task(volumes: Mapping[str, Volume], settings: Config, where: torch.device) -> Lesions:
    """Every volume in which something is known, but the held-out ones, to learn from, and those to measure on;
    SystemExit for an unknown name."""
    unknown = set(settings.held_out) - volumes.keys()
    if unknown:
        raise SystemExit(f"not in the prepared file: {', '.join(sorted(unknown))}; it holds {', '.join(volumes)}")
    learned = [one for name, one in volumes.items() if name not in settings.held_out and one.known.any()]
    sources = [Source.of(volume, where) for volume in learned]
    return Lesions(settings, sources, [volumes[name] for name in settings.held_out], where)


def prepared_from(data: Path, out: Path) -> Path:
    """The prepared file in the folder of a run."""
    from .data import prepare  # reads DICOM and NIfTI, which only this needs

    return prepare(data, out / "prepared.npz")


def main() -> None:
    options = parse(__doc__, HERE, OUT)
    settings, where = read_settings(Config, options), device.use(options.device)
    volumes = load(options.prepared or prepared_from(options.data, options.out))
    run = Run.start(lambda: build(settings.network), settings, settings.steps, options.out, where)
    train(run, task(volumes, settings, where), settings.log_every, settings.save_every)


if __name__ == "__main__":
    main()
