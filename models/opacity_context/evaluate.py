"""Measure the released network through covid-burden, on CTs it was not trained on, and write its card.

    python -m models.opacity_context.evaluate --data DIR [--repository triton_repo]

DIR holds dicom/. Writes metrics.json and CARD.md beside this file. The released network learned every other CT that we
have, so what it finds in CTs it has not seen comes from cross-validation (cross_validation.json).
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from scipy.stats import spearmanr

from models.card import write_metrics
from models.lung_opacity.evaluate import FOLDS_FILE as SINGLE_FOLDS
from models.lung_opacity.evaluate import auc
from models.repository import ROOT, model_path
from models.statistics import mean_with_interval
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.covid_burden.pipeline import CovidBurden

from .card import render
from .cross_validate import FOLDS_FILE, HERE
from .data import CLEAR
from .spec import SPEC

LABELLED = ("covid-ct-md/P001", "covid-ct-md/cap001")

FIGURES = {"agreement": -1.0, "clear_hu": 1.0, "gradient_hu": 1.0, "dome_percent": 1.0}
"""Figures of `Reliability`, each with the sign of the change that raises the error."""

Folds = Mapping[str, Mapping[str, Any]]


def ranks(folds: Folds) -> dict[str, float]:
    """Spearman's correlation of every figure of reliability with the error, over all cases; 1: it orders them so."""
    errors = [case["context"]["error"] for case in folds.values()]
    found = {}
    for name, sign in FIGURES.items():
        values = [sign * (case["reliability"][name] or 0.0) for case in folds.values()]
        found[name] = round(float(spearmanr(values, errors).statistic), 2)
    return found


def means(folds: Folds) -> dict[str, list[float]]:
    """Mean Dice over the labelled volumes as they are, with its 95 % interval. A volume of which less than
    1 mL is labelled has none that means anything."""
    cases = [one["context"] for name, one in folds.items() if "dice" in one["context"] and "shallow" not in name]
    cases = [one for one in cases if one["labelled_ml"] > 1.0]
    keys = ("dice", "dice_at_domes", "dice_elsewhere")
    return {key: mean_with_interval([one[key] for one in cases if one[key] is not None]) for key in keys}


def normal_percent(folds: Folds) -> float:
    """The most that was found in a CT without pneumonia or lung cancer that was not learned, percent of the lungs."""
    return max(round(folds[name]["context"]["false_percent"], 2) for name in CLEAR if name in folds)


def on_dicom(folder: Path, backend: OnnxBackend, infected: Mapping[str, bool]) -> dict[str, Any]:
    """Burden, warnings, and the AUC of the opacity area of each slice against its label. infected: by file name."""
    files = {path.name: pydicom.dcmread(path) for path in sorted(folder.glob("*.dcm"))}
    ct = read_ct(list(files.values()))
    found = CovidBurden().analyse(ct, backend, lambda stage, done: None)
    by_uid = {str(header.SOPInstanceUID): infected[name] for name, header in files.items()}
    labels = np.array([by_uid[uid] for uid in ct.sop_uids])
    areas = np.count_nonzero(found.label_map("findings").labels, axis=(1, 2)).astype(float)
    total = found.group("LUNG_TOTAL")
    return {
        "slices": len(areas),
        "infected_slices": int(labels.sum()),
        "slice_auc": auc(areas, labels),
        "burden_percent": round(100.0 * total["opacity_ml"] / total["volume_ml"], 2),
        "given": found.headline.value is not None,
        "agreement": round(float({m.name: m.value for m in found.uncertainty}["agreement_two"]), 2),
    }


def evaluate(data: Path, repository: Path) -> dict[str, Any]:
    """Everything that the card shows."""
    backend = OnnxBackend(repository)
    labels = json.loads((data / "dicom/covid-ct-md/labels.json").read_text(encoding="utf-8"))
    folds = json.loads((HERE / FOLDS_FILE).read_text(encoding="utf-8"))
    single = json.loads((HERE.parent / "lung_opacity" / SINGLE_FOLDS).read_text(encoding="utf-8"))
    labelled = {}
    for name in LABELLED:
        infected = {file: bool(one["infected"]) for file, one in labels[name.rpartition("/")[2]].items()}
        labelled[name] = on_dicom(data / "dicom" / name, backend, infected)
        print(name, json.dumps(labelled[name]), flush=True)
    return {
        "sha256": backend.spec(SPEC.name).sha256,
        "bytes": model_path(SPEC, repository).stat().st_size,
        "labelled": labelled,
        "folds": folds,
        "single_slice": {name: one["opacity_dice"] for name, one in single.items()},
        "mean": means(folds),
        "rank_correlation": ranks(folds),
        "normal_percent": normal_percent(folds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with dicom/")
    parser.add_argument("--repository", type=Path, default=ROOT)
    options = parser.parse_args()
    write_metrics(HERE, evaluate(options.data, options.repository), render)


if __name__ == "__main__":
    main()
