"""How good the recipe is on patients it has not seen: leave one patient out, one after the other.

    python -m models.opacity_context.cross_validate --data DIR [--out models/runs/opacity_context_folds] [--fold 2]

DIR holds train/ and dicom/. Each fold is trained as train.toml says without one patient of medseg9 and without one
patient who has no pneumonia, and measured on both. A stopped run goes on where it was.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path

from models.training import config, device
from models.training.loop import train
from models.training.run import Run

from .data import Stack, read
from .network import build
from .train import HERE, Config, task

FOLDS = (
    ("medseg9/vol2", "medseg9/vol3", "covid-ct-md/normal001"),
    ("medseg9/vol1", "rider-lung"),
    ("medseg9/vol4", "lidc/LIDC-IDRI-0001"),
    ("medseg9/vol6", "lidc/LIDC-IDRI-0002"),
    ("medseg9/vol7", "lidc/LIDC-IDRI-0003"),
    ("medseg9/vol8", "lung1/LUNG1-001"),
    ("medseg9/vol9", "lung1/LUNG1-002"),
)
"""Volumes 2 and 3 are thick and thin slices of one patient."""


def fold(stacks: Mapping[str, Stack], data: Path, out: Path, held_out: tuple[str, ...]) -> None:
    """Train without `held_out`, and measure on them."""
    settings = config.read(Config, HERE / "train.toml", {"held_out": list(held_out)})
    if not (out / "weights.pt").exists():
        run = Run.start(lambda: build(settings.network), settings, settings.steps, out, device.use("auto"))
        train(run, task(stacks, data, settings), settings.log_every, settings.save_every)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and dicom/")
    parser.add_argument("--out", type=Path, default=Path("models/runs/opacity_context_folds"), help="a folder per fold")
    numbers = range(1, len(FOLDS) + 1)
    parser.add_argument("--fold", type=int, nargs="*", choices=numbers, default=numbers, help="only these, 1 first")
    options = parser.parse_args()
    stacks = read(options.data)
    for number in options.fold:
        fold(stacks, options.data, options.out / str(number), FOLDS[number - 1])


if __name__ == "__main__":
    main()
