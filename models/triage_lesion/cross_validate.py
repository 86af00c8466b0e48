"""How good the recipe is on patients it has not seen: leave one patient out, one after the other.

    python -m models.triage_lesion.cross_validate --prepared FILE [--out models/runs/triage_lesion_folds]

FILE is what `models.triage_lesion.data` writes. Each fold is trained as train.toml says without one patient of medseg9
and without one who has no pneumonia. A stopped run goes on where it was; a fold that is trained is only measured.
With --final, also what the released network finds in the CTs with pneumonia that nobody labelled. Writes
cross_validation.json beside this file.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from models.networks.unet3d_plus_plus import Unet3dPlusPlus
from models.training import config, device
from models.training.loop import train
from models.training.run import Run

from .measure import measure
from .network import RELEASED, build
from .train import HERE, Config, task
from .volumes import Volume, load

FOLDS_FILE = "cross_validation.json"

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

FINAL = 0
"""In place of the number of a fold: CTs that the released network has not learned."""


def trained(volumes: Mapping[str, Volume], out: Path, held_out: tuple[str, ...]) -> Unet3dPlusPlus:
    """The network that has not learned `held_out`; trained unless it is there."""
    settings = config.read(Config, HERE / "train.toml", {"held_out": list(held_out)})
    if not (out / "weights.pt").exists():
        where = device.use("auto")
        run = Run.start(lambda: build(settings.network), settings, settings.steps, out, where)
        train(run, task(volumes, settings, where), settings.log_every, settings.save_every)
    return weighted(out / "weights.pt")


def weighted(weights: Path) -> Unet3dPlusPlus:
    """The released network with the weights of a file."""
    network = build(RELEASED)
    network.load_state_dict(torch.load(weights, weights_only=True))
    return network


def keep(path: Path, number: int, new: Mapping[str, Mapping[str, Any]]) -> None:
    """Put what a fold found in place of what it found before."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    found = {name: one for name, one in found.items() if one["fold"] != number}
    found |= {name: {"fold": number} | dict(values) for name, values in new.items()}
    path.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n", encoding="utf-8")
    print(json.dumps(new), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prepared", type=Path, required=True, help="file of models.triage_lesion.data")
    parser.add_argument("--out", type=Path, default=Path("models/runs/triage_lesion_folds"), help="a folder per fold")
    parser.add_argument("--final", type=Path, metavar="WEIGHTS", help="of the released network")
    numbers = range(1, len(FOLDS) + 1)
    parser.add_argument("--fold", type=int, nargs="*", choices=numbers, default=numbers, help="only these, 1 first")
    options = parser.parse_args()
    volumes = load(options.prepared)
    for number in options.fold:
        held_out = FOLDS[number - 1]
        network = trained(volumes, options.out / f"fold{number}", held_out)
        keep(HERE / FOLDS_FILE, number, {name: measure(network, volumes[name]) for name in held_out})
    if options.final:
        unlabelled = [volume for volume in volumes.values() if not volume.known.any()]
        network = weighted(options.final)
        keep(HERE / FOLDS_FILE, FINAL, {volume.name: measure(network, volume) for volume in unlabelled})


if __name__ == "__main__":
    main()
