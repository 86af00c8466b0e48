"""Temperature of the classifier's probabilities (Guo et al. 2017), fitted on lesions of CTs that were not learned."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from .regions import OTHER

_BINS = 5
_LIMITS = (0.2, 20.0)

Folds = Mapping[str, Mapping[str, Any]]
"""What cross_validation.json holds: for each CT, label and logits of each lesion."""

Array = NDArray[np.float64]


def lesions(folds: Folds) -> tuple[Array, NDArray[np.int64], Array]:
    """Logits, labels and weights of all lesions that were not learned; every CT weighs 1 in all.

    The one CT with another infection is left out: a network that has not learned it knows no such class.
    """
    used = [case for case in folds.values() if case["label"] != OTHER and case["logits"]]
    counts = [len(case["logits"]) for case in used]
    logits = np.concatenate([np.array(case["logits"], float) for case in used])
    labels = np.repeat([int(case["label"]) for case in used], counts)
    return logits, labels, np.repeat(1.0 / np.array(counts), counts)


def temperature(folds: Folds) -> float:
    """What the logits are divided by so that the mean log-likelihood of `lesions` is greatest, from 0.2 to 20."""
    logits, labels, weights = lesions(folds)

    def cost(log_t: float) -> float:
        likelihood = log_softmax(logits / np.exp(log_t), 1)[np.arange(len(labels)), labels]
        return -float(np.average(likelihood, weights=weights))

    found = minimize_scalar(cost, bounds=tuple(np.log(_LIMITS)), method="bounded")
    return round(float(np.exp(found.x)), 3)


def reliability(folds: Folds, divided_by: float) -> tuple[list[tuple[float, float, float]], float]:
    """(confidence, right, weight) of each bin of the shown class's probability, and the expected calibration error."""
    logits, labels, weights = lesions(folds)
    probabilities = softmax(logits / divided_by, 1)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.minimum((confidence * _BINS).astype(int), _BINS - 1)
    rows = []
    for number in np.unique(bins):
        here = bins == number
        rows.append(
            (
                float(np.average(confidence[here], weights=weights[here])),
                float(np.average(right[here], weights=weights[here])),
                float(weights[here].sum() / weights.sum()),
            )
        )
    return rows, sum(weight * abs(sure - correct) for sure, correct, weight in rows)


def draw(folds: Folds, divided_by: float, path: Path) -> None:
    """Write the reliability plot, a PNG: how often the shown class is right, by its probability."""
    figure = Figure(figsize=(5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1)
    for name, value in (("not calibrated", 1.0), (f"temperature {divided_by:g}", divided_by)):
        rows, error = reliability(folds, value)
        axes.plot([row[0] for row in rows], [row[1] for row in rows], "o-", label=f"{name}: error {error:.2f}")
    axes.set(xlabel="probability of the shown class", ylabel="part that is right", xlim=(0, 1), ylim=(0, 1))
    axes.legend()
    figure.savefig(path, metadata={"Software": None})
