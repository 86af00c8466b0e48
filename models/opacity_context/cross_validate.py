"""How good the recipe is on patients it has not seen: leave one patient out, one after the other.

    python -m models.opacity_context.cross_validate --data DIR [--out models/runs/opacity_context_folds] [--fold 2]

DIR holds train/ and dicom/. Each fold is trained as train.toml says without one patient of medseg9 and without one
patient who has no pneumonia, and measured on both by the functions of the service; the lungs are those of the released
network, which knows the volumes. A stopped run goes on where it was. Writes cross_validation.json beside this file.
"""

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.export import export_opacity_context
from models.repository import ROOT
from models.training import config, device
from service.inference.onnx import OnnxBackend
from service.pipelines.shared.lungs import lungs_of, slice_answers

from .cases import Case, breathed_out
from .cases import read as read_case
from .data import Stack, pictures, read
from .measure import measure
from .train import HERE, Config, task, train_both

FOLDS_FILE = "cross_validation.json"

RUNS = Path("models/runs/opacity_context_folds")
"""A folder per fold, 1 first."""

SHALLOW = (0.2, 0.4)
"""Parts of the way to soft tissue, of the lung's back, at which each case is measured again."""

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


def fold(stacks: Mapping[str, Stack], alone: Stack, out: Path, held_out: tuple[str, ...]) -> None:
    """Train without `held_out`. alone: the pictures, slices without neighbours."""
    settings, where = config.read(Config, HERE / "train.toml", {"held_out": list(held_out)}), device.use("auto")
    if not (out / "weights.pt").exists():
        train_both(task(stacks, alone, settings, where), settings, out, where)


def measured(data: Path, out: Path, held_out: tuple[str, ...]) -> dict[str, Any]:
    """What the fold's network finds in what it has not seen, as it is and as in shallow breathing."""
    repository = out / "repository"
    shutil.rmtree(repository, ignore_errors=True)
    shutil.copytree(ROOT, repository)
    export_opacity_context(out / "weights.pt", repository, None)
    backend, found = OnnxBackend(repository), dict[str, Any]()
    for name in held_out:
        case = read_case(data, name)
        found[name] = measure(case, backend)
        lung = case.lung if case.lung is not None else _lungs(case, backend)
        for part in SHALLOW:
            found[f"{name}, shallow {part:g}"] = measure(breathed_out(case, lung, part), backend)
    return found


def _lungs(case: Case, backend: OnnxBackend) -> NDArray[np.bool_]:
    answers = slice_answers(case.ct, backend, lambda done: None)
    return np.asarray(lungs_of(case.ct, answers, backend, lambda done: None).on_source > 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with train/ and dicom/")
    parser.add_argument("--out", type=Path, default=RUNS, help="a folder per fold")
    numbers = range(1, len(FOLDS) + 1)
    parser.add_argument("--fold", type=int, nargs="*", choices=numbers, default=numbers, help="only these, 1 first")
    parser.add_argument("--only-measure", action="store_true", help="the folds are trained")
    parser.add_argument("--only-train", action="store_true", help="measure nothing")
    options = parser.parse_args()
    path, stacks = HERE / FOLDS_FILE, dict[str, Stack]()
    for number in options.fold:
        if not options.only_measure:
            stacks = stacks or read(options.data)
            fold(stacks, pictures(options.data / "train"), options.out / str(number), FOLDS[number - 1])
        if options.only_train:
            continue
        new = measured(options.data, options.out / str(number), FOLDS[number - 1])
        found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        found = {name: one for name, one in found.items() if one["fold"] != number}
        found |= {name: {"fold": number} | values for name, values in new.items()}
        path.write_text(json.dumps(dict(sorted(found.items())), indent=2) + "\n", encoding="utf-8")
        print(json.dumps(new, indent=2), flush=True)


if __name__ == "__main__":
    main()
