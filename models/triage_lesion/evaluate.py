"""Write the card of the lesion network from its cross-validation.

    python -m models.triage_lesion.evaluate [--repository triton_repo]

Writes metrics.json and CARD.md beside this file.
"""

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from models.card import write_metrics
from models.lung_opacity.evaluate import FOLDS_FILE as SINGLE_FOLDS
from models.lung_opacity.evaluate import auc
from models.opacity_context.data import CLEAR
from models.repository import ROOT, model_path
from models.triage_infection.regions import NONE, class_of

from .card import Cases, render
from .cross_validate import FINAL, FOLDS, FOLDS_FILE, HERE
from .spec import SPEC


def burden_auc(cases: Cases) -> dict[str, Any]:
    """How well the burden of CTs that were not learned tells pneumonia from its absence: AUC, and of how many."""
    ill = {name: class_of(name) != NONE for name in cases}
    burdens = np.array([case["burden_percent"] for case in cases.values()])
    return {
        "auc": auc(burdens, np.array(list(ill.values()))),
        "with": sum(ill.values()),
        "without": len(ill) - sum(ill.values()),
    }


def evaluate(repository: Path) -> dict[str, Any]:
    """Everything that the card shows."""
    model = model_path(SPEC, repository)
    cases = json.loads((HERE / FOLDS_FILE).read_text(encoding="utf-8"))
    single = json.loads((HERE.parent / "lung_opacity" / SINGLE_FOLDS).read_text(encoding="utf-8"))
    dice = [case["dice"] for case in cases.values() if case.get("labelled_ml", 0.0) > 1.0]
    learned = {case["fold"] for case in cases.values()} - {FINAL}
    return {
        "sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "bytes": model.stat().st_size,
        "cases": cases,
        "single_slice": {name: one["opacity_dice"] for name, one in single.items() if name in cases},
        "mean_dice": round(float(np.mean(dice)), 3),
        "volumes": len(dice),
        "burden": burden_auc(cases),
        "normal_percent": max(round(cases[name]["false_percent"], 2) for name in CLEAR if name in cases),
        "folds_trained": sorted(learned),
        "folds": len(FOLDS),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repository", type=Path, default=ROOT)
    write_metrics(HERE, evaluate(parser.parse_args().repository), render)


if __name__ == "__main__":
    main()
