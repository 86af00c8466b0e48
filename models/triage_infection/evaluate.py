"""Write the card and the reliability plot of the infection classifier from its cross-validation.

    python -m models.triage_infection.evaluate

Writes metrics.json, reliability.png and CARD.md beside this file.
"""

import argparse
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import softmax

from models.card import write_metrics
from models.lung_opacity.evaluate import auc

from .calibration import Folds, draw, reliability, temperature
from .card import render
from .cross_validate import FOLDS, FOLDS_FILE, HERE
from .regions import NONE
from .released import MODEL

PLOT = "reliability.png"


def cases(folds: Folds, divided_by: float) -> dict[str, dict[str, Any]]:
    """What each CT that was not learned gets. infection: the case's number, the greatest of all its lesions (paper B
    leaves open how lesions make a case); shown: the class of the lesion that has it."""
    found = {}
    for name, case in folds.items():
        probabilities = softmax(np.array(case["logits"], float).reshape(-1, 3) / divided_by, 1)
        worst = int((1.0 - probabilities[:, NONE]).argmax()) if len(probabilities) else None
        found[name] = {
            "fold": case["fold"],
            "label": case["label"],
            "lesions": len(probabilities),
            "right": int((probabilities.argmax(1) == case["label"]).sum()),
            "mean": [round(float(value), 3) for value in probabilities.mean(0)] if len(probabilities) else None,
            "infection": round(float(1.0 - probabilities[worst, NONE]), 3) if worst is not None else 0.0,
            "shown": int(probabilities[worst].argmax()) if worst is not None else NONE,
        }
    return found


def infection_auc(found: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """AUC of the case's probability of an infection, and of how many CTs."""
    ill = np.array([case["label"] != NONE for case in found.values()])
    area = auc(np.array([case["infection"] for case in found.values()]), ill)
    return {"auc": area, "with": int(ill.sum()), "without": int((~ill).sum())}


def evaluate() -> dict[str, Any]:
    """Everything that the card shows."""
    folds = json.loads((HERE / FOLDS_FILE).read_text(encoding="utf-8"))
    divided_by = temperature(folds)
    found = cases(folds, divided_by)
    draw(folds, divided_by, HERE / PLOT)
    return {
        "sha256": hashlib.sha256(MODEL.read_bytes()).hexdigest(),
        "bytes": MODEL.stat().st_size,
        "temperature": divided_by,
        "calibration_error": {
            "before": round(reliability(folds, 1.0)[1], 3),
            "after": round(reliability(folds, divided_by)[1], 3),
        },
        "cases": found,
        "infection": infection_auc(found),
        "folds_trained": sorted({case["fold"] for case in folds.values()}),
        "folds": len(FOLDS),
    }


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    write_metrics(HERE, evaluate(), render)


if __name__ == "__main__":
    main()
