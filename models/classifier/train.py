"""Train the 3-class classifier of Topff 2023 on your own labelled CTs. We have none to train it with, and release none.

    python -m models.classifier.train --data DIR [--out models/runs/classifier]

DIR is described in models/classifier/data.py, what is trained in train.toml. A stopped run goes on where it was when
the same command is given again. Why no classifier is released: docs/decisions/0061-no-classifier.md.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import PositiveInt
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from models.networks.cnn3d_classifier import Cnn3dClassifier
from models.networks.window import scaled
from models.training import config, device, options
from models.training.loop import answer, train
from models.training.run import Run
from service.inference.onnx import OnnxBackend
from service.pipelines.covid_severity.classification import Infection, decide
from service.pipelines.covid_severity.pipeline import CovidSeverity

from .augment import augment
from .data import Case, load

HERE = Path(__file__).parent
OUT = Path("models/runs/classifier")

WINDOW_HU = (-1250, 250)
CLASSES = tuple(Infection)


class Config(config.Training):
    """Of train.toml."""

    epochs: PositiveInt


def seen(image: Tensor, lungs: Tensor) -> Tensor:
    """What the network sees: image 0-1 inside the lungs, 0 outside."""
    return image * lungs


def tensors(case: Case) -> tuple[Tensor, Tensor]:
    """Image 0-1 and lungs 0/1 of a case, float, shape (1, slices, rows, columns)."""
    return scaled(torch.from_numpy(case.hu), WINDOW_HU)[None], torch.from_numpy(case.lungs).float()[None]


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """The task (`models.training.loop.Task`). Every class is drawn equally often."""

    config: Config
    cases: Sequence[Case]
    validation: Sequence[Case]

    @property
    def epoch_steps(self) -> int:
        return math.ceil(len(self.cases) / self.config.batch)

    def batch(self, step: int, random: Generator) -> tuple[Tensor, Tensor]:
        """Lungs 0-1, augmented, and 1 for the class of each case, shape (batch, 3)."""
        labels = torch.tensor([CLASSES.index(case.label) for case in self.cases])
        weights = 1.0 / torch.bincount(labels, minlength=len(CLASSES))[labels]
        chosen = torch.multinomial(weights, self.config.batch, replacement=True, generator=random)
        images = [seen(*augment(*tensors(self.cases[k]), random)) for k in chosen]
        return torch.stack(images), F.one_hot(labels[chosen], len(CLASSES)).float()

    def loss(self, outputs: Tensor, *rest: Tensor) -> Tensor:
        return F.cross_entropy(outputs, rest[0])

    def measure(self, network: nn.Module) -> dict[str, float]:
        """Mean loss, and the part of the cases answered rightly by the published decision."""
        lost, right = 0.0, 0
        for case in self.validation:
            logits = answer(network, seen(*tensors(case))[None])
            lost += F.cross_entropy(logits, torch.tensor([CLASSES.index(case.label)])).item()
            right += decide(dict(zip(CLASSES, logits.softmax(1)[0].tolist(), strict=True))) is case.label
        return {"validation loss": lost / len(self.validation), "accuracy": right / len(self.validation)}


def main() -> None:
    parser = options.parser(__doc__, HERE, OUT)
    parser.add_argument("--data", type=Path, required=True, help="folder with cases.csv")
    parser.add_argument("--repository", type=Path, default=Path("triton_repo"), help="the models that find the lungs")
    given = parser.parse_args()
    settings, where = options.settings(Config, given), device.use(given.device)
    parts = load(given.data, given.out / "cases", CovidSeverity(), OnnxBackend(given.repository))
    if not all(parts.values()) or {case.label for case in parts["train"]} != set(CLASSES):
        raise SystemExit("train needs cases of all three classes, and validation needs cases")
    task = Classification(settings, parts["train"], parts["validation"])
    steps = settings.epochs * task.epoch_steps
    run = Run.start(Cnn3dClassifier, settings, steps, given.out, where)
    train(run, task, task.epoch_steps, task.epoch_steps)


if __name__ == "__main__":
    main()
