"""Train the infection classifier of covid-triage. Experimental: one patient here has another infection than COVID-19.

    python -m models.triage_infection.train --data DIR [--out models/runs/triage_infection] [--held-out CT ...]

DIR holds train/ and dicom/; --prepared FILE is as for `models.triage_lesion.train`. What is trained stands in
train.toml; the options change it. A stopped run goes on where it was when the same command is given again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import Field, PositiveInt
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from models.lung_opacity.augment import appearance
from models.opacity_context.augment import breathed_out, moving
from models.training import config, device
from models.training.loop import answer, train
from models.training.options import settings as read_settings
from models.training.run import Run
from models.triage_lesion.augment import only_lung, placed, recut
from models.triage_lesion.options import parse
from models.triage_lesion.spec import SPACING_MM
from models.triage_lesion.train import prepared_from
from models.triage_lesion.volumes import Volume, load

from .network import Name, build, seen
from .regions import NONE, Patient
from .spec import CLASSES, MARGIN_MM, REGION

HERE = Path(__file__).parent
OUT = Path("models/runs/triage_infection")

_MADE_UP = 0.4
"""Part of the lesions without infection that are any lung under a mask of a lesion's shape."""

_MARGINS_MM = (5.0, 18.0)

_SIDES_MM = (8.0, 120.0)
"""Least and greatest side of the bounding boxes of made-up lesions."""


class Config(config.Training):
    """What train.toml holds. log_every, save_every: steps."""

    network: Name
    held_out: list[str]
    smoothing: float = Field(ge=0.0, lt=1.0)
    steps: PositiveInt
    log_every: PositiveInt
    save_every: PositiveInt


@dataclass(frozen=True, slots=True, eq=False)
class Infections:
    """The task (`models.training.loop.Task`). Every class is drawn equally often, and every patient of a class."""

    config: Config
    patients: Sequence[Patient]
    unseen: Sequence[Patient]
    where: torch.device

    def batch(self, step: int, random: Generator) -> tuple[Tensor, Tensor]:
        """Regions as the network sees them, and their classes."""
        drawn = [self._patient(random) for _ in range(self.config.batch)]
        cut = [_region(patient, random) for patient in drawn]
        here = Generator(self.where).manual_seed(int(torch.randint(2**62, (), generator=random)))
        with self.where:
            hu = torch.stack([hu for hu, _ in cut])
            lung, lesion = torch.stack([masks for _, masks in cut], 1)
            lung, lesion = recut(lung, here), recut(lesion, here).maximum(lesion)
            hu = appearance(breathed_out(moving(hu, here), lung, here), here)
            return seen(only_lung(hu, lung), lesion * lung), torch.tensor([patient.label for patient in drawn])

    def _patient(self, random: Generator) -> Patient:
        labels = sorted({patient.label for patient in self.patients})
        label = labels[int(torch.randint(len(labels), (), generator=random))]
        some = [patient for patient in self.patients if patient.label == label]
        return some[int(torch.randint(len(some), (), generator=random))]

    def loss(self, outputs: Tensor, *rest: Tensor) -> Tensor:
        return F.cross_entropy(outputs, rest[0], label_smoothing=self.config.smoothing)

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Returns the mean loss of the lesions of each held-out CT, and the part of them given the right class."""
        found = {}
        for patient in (one for one in self.unseen if one.boxes):
            logits = logits_of(network, patient)
            truth = torch.full((len(logits),), patient.label)
            found[f"{patient.name} loss"] = round(F.cross_entropy(logits, truth).item(), 4)
            found[f"{patient.name} right"] = round(float((logits.argmax(1) == truth).float().mean()), 4)
        return found


def logits_of(network: nn.Module, patient: Patient) -> Tensor:
    """What the network says of each lesion of a CT, (lesion, class)."""
    said = [torch.zeros((0, len(CLASSES)))]
    for number in range(len(patient.boxes)):
        hu, (lung, lesion) = patient.region(number)
        said.append(answer(network, seen(only_lung(hu, lung)[None], lesion[None])))
    return torch.cat(said)


def _region(patient: Patient, random: Generator) -> tuple[Tensor, Tensor]:
    """HU, lung and lesion of one lesion, a little off the middle; in a CT without infection it may be made up."""
    if patient.label == NONE and (not patient.boxes or float(torch.rand((), generator=random)) < _MADE_UP):
        return _made_up(patient, random)
    number = int(torch.randint(len(patient.boxes), (), generator=random))
    low, high = _MARGINS_MM
    margin = low + (high - low) * float(torch.rand((), generator=random))
    pan = 0.2 * (torch.rand(3, generator=random) - 0.5)
    return patient.region(number, margin, pan, random)


def _made_up(patient: Patient, random: Generator) -> tuple[Tensor, Tensor]:
    """Any part of the lungs, and a cloud in its middle as the mask of a lesion."""
    places = patient.lung_at
    centre = places[int(torch.randint(len(places), (), generator=random))].float()
    low, high = _SIDES_MM
    side = low * (high / low) ** float(torch.rand((), generator=random))
    box = side + 2 * MARGIN_MM
    zoom = box / (torch.tensor(REGION) * torch.tensor(SPACING_MM))
    hu, masks = placed(patient.hu, patient.lung[None], centre, REGION, zoom, random)
    lumps = F.interpolate(torch.randn((1, 1, 4, 8, 8), generator=random), REGION, mode="trilinear")[0, 0]
    steps = [torch.linspace(-1.0, 1.0, count) for count in REGION]
    off = sum(axis**2 for axis in torch.meshgrid(*steps, indexing="ij"))
    cloud = (lumps * 0.3 + 1.0 - torch.as_tensor(off) * (box / side) ** 2 > 0).float().to(hu.device)
    return hu, torch.cat([masks, masks * cloud])


def task(volumes: Mapping[str, Volume], settings: Config, where: torch.device) -> Infections:
    """Every CT but the held-out ones to learn from, and those to measure on; SystemExit for an unknown name."""
    unknown = set(settings.held_out) - volumes.keys()
    if unknown:
        raise SystemExit(f"not in the prepared file: {', '.join(sorted(unknown))}; it holds {', '.join(volumes)}")
    patients = {name: Patient.of(volume, where) for name, volume in volumes.items()}
    rest = (one for name, one in patients.items() if name not in settings.held_out)
    learned = [one for one in rest if one.boxes or one.label == NONE]
    print(", ".join(f"{one.name}: {len(one.boxes)} {CLASSES[one.label]}" for one in learned), flush=True)
    return Infections(settings, learned, [patients[name] for name in settings.held_out], where)


def main() -> None:
    options = parse(__doc__, HERE, OUT)
    settings, where = read_settings(Config, options), device.use(options.device)
    volumes = load(options.prepared or prepared_from(options.data, options.out))
    run = Run.start(lambda: build(settings.network), settings, settings.steps, options.out, where)
    train(run, task(volumes, settings, where), settings.log_every, settings.save_every)


if __name__ == "__main__":
    main()
