"""Means over the patients and how sure they are, from what was measured on each.

    python -m models.lobes.summary

Summarises the patients in metrics.json again and renders CARD.md, without measuring anything.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from models.card import METRICS, write_metrics
from models.statistics import mean_with_interval
from service.domain.anatomy import Lobe

from .agreement import average
from .card import render
from .truth import FISSURES

HERE = Path(__file__).parent
METHODS = ("prior", "found")

Cases = Mapping[str, Mapping[str, Any]]
"""What `models.lobes.evaluate` measured, by patient and method."""


def summarise(cases: Cases) -> dict[str, Any]:
    """The parts of the metrics that are about all patients together."""
    return {"mean": {method: _mean(_of(cases, method)) for method in METHODS}, "intervals": _intervals(cases)}


def _mean(cases: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "dice": average([case["dice"] for case in cases if "dice" in case], 3),
        "fissure_mm": {name: average([case["fissure_mm"][name] for case in cases], 1) for name in FISSURES},
        "mean_mm": round(float(np.mean([case["mean_mm"] for case in cases])), 1),
        "worst_mm": max(case["mean_mm"] for case in cases),
    }


def _intervals(cases: Cases) -> dict[str, dict[str, Any]]:
    """Per quantity how many patients have it, and of each method mean and ends of the 95 % interval."""
    rows: dict[str, dict[str, Any]] = {}

    def add(name: str, digits: int, values: Mapping[str, list[float]]) -> None:
        rows[name] = {"patients": len(values["found"])}
        rows[name] |= {method: mean_with_interval(of, digits) for method, of in values.items()}

    every = {method: _of(cases, method) for method in METHODS}
    drawn = {method: [case for case in of if "dice" not in case] for method, of in every.items()}
    masked = {method: [case for case in of if "dice" in case] for method, of in every.items()}
    add("distance, mm", 1, {m: [case["mean_mm"] for case in of] for m, of in every.items()})
    add("distance, LIDC-IDRI only, mm", 1, {m: [case["mean_mm"] for case in of] for m, of in drawn.items()})
    for fissure in FISSURES:
        mm = {m: [case["fissure_mm"][fissure]["mean"] for case in of] for m, of in every.items()}
        add(f"distance, {fissure}, mm", 1, mm)
    for lobe in Lobe:
        add(f"Dice, {lobe.name}", 3, {m: [case["dice"][lobe.name] for case in of] for m, of in masked.items()})
    add("part in true lobe", 3, {m: [case["same_lobe_part"] for case in of] for m, of in masked.items()})
    return rows


def _of(cases: Cases, method: str) -> list[dict[str, Any]]:
    return [case[method] for case in cases.values()]


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    metrics = json.loads((HERE / METRICS).read_text(encoding="utf-8"))
    write_metrics(HERE, metrics | summarise(metrics["cases"]), render)


if __name__ == "__main__":
    main()
