"""How good the recipe is on patients it has not seen: leave one patient of medseg9 out, one after the other.

    python -m models.lung_opacity.cross_validate --data DIR [--out models/runs/lung_opacity_folds] [--fold 2]

DIR holds train/. Each fold is trained as train.toml says without its volumes, exported, and measured on them through
the service's own pipeline. A stopped run goes on where it was. Writes cross_validation.json beside this file, from
which the model card takes its table; `python -m models.lung_opacity.evaluate` renders it.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from models.export import export_lung_opacity
from models.repository import ROOT
from models.training import config, device
from models.training.loop import train
from models.training.run import Run
from service.inference.onnx import OnnxBackend

from .evaluate import FOLDS_FILE, HERE, agreement_with_labels, compare
from .network import build
from .picture import draw
from .train import Config, task

FOLDS = (
    ("medseg9/vol2", "medseg9/vol3"),
    ("medseg9/vol1",),
    ("medseg9/vol4",),
    ("medseg9/vol6",),
    ("medseg9/vol7",),
    ("medseg9/vol8",),
    ("medseg9/vol9",),
)
"""Volumes 2 and 3 are thick and thin slices of one patient."""

PICTURES = HERE / "pictures"


def fold(data: Path, out: Path, volumes: tuple[str, ...]) -> dict[str, Any]:
    """Train without `volumes` and measure on them."""
    settings = config.read(Config, HERE / "train.toml", {"held_out": list(volumes)})
    if not (out / "weights.pt").exists():
        run = Run.start(lambda: build(settings.network), settings, settings.steps, out, device.use("auto"))
        train(run, task(data / "train", settings), settings.log_every, settings.save_every)
    repository = out / "repository"
    shutil.rmtree(repository, ignore_errors=True)
    shutil.copytree(ROOT, repository)
    export_lung_opacity(out / "weights.pt", repository, settings.network)
    backend = OnnxBackend(repository)
    found = {}
    for name in volumes:
        case = compare(data / "train", name, backend)
        found[name] = agreement_with_labels(case)
        draw(case, PICTURES / f"{Path(name).name}.png")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/")
    parser.add_argument("--out", type=Path, default=Path("models/runs/lung_opacity_folds"), help="a folder per fold")
    numbers = range(1, len(FOLDS) + 1)
    parser.add_argument("--fold", type=int, nargs="*", choices=numbers, default=numbers, help="only these, 1 first")
    options = parser.parse_args()
    path = HERE / FOLDS_FILE
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for number in options.fold:
        measured = fold(options.data, options.out / str(number), FOLDS[number - 1])
        found |= {name: {"fold": number} | values for name, values in measured.items()}
        path.write_text(json.dumps(dict(sorted(found.items())), indent=2) + "\n", encoding="utf-8")
        print(json.dumps(measured, indent=2), flush=True)


if __name__ == "__main__":
    main()
