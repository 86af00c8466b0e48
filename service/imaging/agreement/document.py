"""metrics.json and metrics.csv: what `thoracle evaluate` writes. What is not defined is null, or an empty cell."""

import csv
from collections.abc import Mapping
from dataclasses import asdict
from io import StringIO
from typing import Any

from service.imaging.agreement.compare import Agreement
from service.imaging.agreement.statistics import RESAMPLES, summarise

SCHEMA_VERSION = "1.0"

COLUMNS = (
    "dice",
    "jaccard",
    "surface_dice",
    "h95_mm",
    "truth_ml",
    "pred_ml",
    "difference_ml",
    "added_path_length_mm",
)

DEFINITIONS = {
    "dice": "2 |P and T| / (|P| + |T|); null where both are empty, 0 where one is",
    "jaccard": "|P and T| / |P or T|; null where both are empty, 0 where one is",
    "surface_dice": "area of both surfaces within tolerance_mm of the other, divided by the area of both "
    "(Nikolov 2021); null where both are empty, 0 where one is",
    "h95_mm": "larger of the two directed 95th percentiles of surface distance, weighted by area; "
    "null where one is empty",
    "difference_ml": "prediction minus truth",
    "added_path_length_mm": "contour of the truth that is not contour of the prediction, in slices (Vaassen 2020)",
    "ci95": f"percentile bootstrap of the mean over cases, {RESAMPLES} resamples",
    "volume": "Bland-Altman over all cases, empty ones too: bias, bias ± 1.96 SD of the differences, Pearson r",
}

Labels = Mapping[str, Mapping[str, Agreement]]
"""Label, then case."""


def metrics_document(
    labels: Labels, settings: Mapping[str, Any], seed: int, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Ready for `json.dumps(..., allow_nan=False)`. settings: how it was measured; about: what else must be known."""
    return {
        "schema_version": SCHEMA_VERSION,
        "settings": dict(settings) | {"seed": seed},
        "definitions": DEFINITIONS,
        **about,
        "summary": {label: _rounded(asdict(summarise(list(cases.values()), seed))) for label, cases in labels.items()},
        "cases": [{"case": case, "label": label, **_row(found)} for label, case, found in _ordered(labels)],
    }


def metrics_csv(labels: Labels) -> str:
    """One line per case and label."""
    text = StringIO()
    writer = csv.DictWriter(text, ["case", "label", "empty", *COLUMNS], lineterminator="\n")
    writer.writeheader()
    writer.writerows({"case": case, "label": label, **_row(found)} for label, case, found in _ordered(labels))
    return text.getvalue()


def _ordered(labels: Labels) -> list[tuple[str, str, Agreement]]:
    """Case by case."""
    rows = [(label, case, found) for label, cases in labels.items() for case, found in cases.items()]
    return sorted(rows, key=lambda row: row[1])


def _row(found: Agreement) -> dict[str, Any]:
    return {"empty": found.empty} | {column: _rounded(getattr(found, column)) for column in COLUMNS}


def _rounded(values: Any) -> Any:
    """Six decimals: beyond them there is only noise of summation."""
    if isinstance(values, float):
        return round(values, 6)
    if isinstance(values, dict):
        return {key: _rounded(value) for key, value in values.items()}
    return [_rounded(value) for value in values] if isinstance(values, tuple) else values
