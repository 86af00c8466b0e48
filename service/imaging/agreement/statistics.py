"""Many cases of one label in a few numbers. Pure; the bootstrap is seeded, so the same cases give the same interval."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.imaging.agreement.compare import Agreement

RESAMPLES = 10_000
LIMITS_SD = 1.96

METRICS = ("dice", "jaccard", "surface_dice", "h95_mm", "added_path_length_mm")

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Distribution:
    """One metric over the n cases in which it is defined. ci95: of the mean, None below two cases."""

    n: int
    mean: float | None
    median: float | None
    ci95: Interval | None


@dataclass(frozen=True, slots=True)
class BlandAltman:
    """Agreement of volumes (Bland and Altman 1986), prediction minus truth. limits_ml: bias ± 1.96 SD of differences.

    sd_ml, limits_ml: None below two cases; pearson_r: None below three, or where one side does not vary.
    """

    n: int
    bias_ml: float
    sd_ml: float | None
    limits_ml: Interval | None
    pearson_r: float | None


@dataclass(frozen=True, slots=True)
class Summary:
    """One label over all cases; empty_*: how often which mask had no voxel."""

    cases: int
    empty_both: int
    empty_pred: int
    empty_truth: int
    metrics: dict[str, Distribution]
    volume: BlandAltman


def summarise(cases: Sequence[Agreement], seed: int) -> Summary:
    """At least one case."""
    empty = [case.empty for case in cases]
    return Summary(
        len(cases),
        empty.count("both"),
        empty.count("pred"),
        empty.count("truth"),
        {metric: _distribution(_defined(cases, metric), seed) for metric in METRICS},
        bland_altman(cases),
    )


def bland_altman(cases: Sequence[Agreement]) -> BlandAltman:
    """Volumes are defined in every case, so every case counts."""
    pred, truth = (np.array([getattr(case, side) for case in cases]) for side in ("pred_ml", "truth_ml"))
    bias, n = float((pred - truth).mean()), len(cases)
    sd = float((pred - truth).std(ddof=1)) if n > 1 else None
    limits = None if sd is None else (bias - LIMITS_SD * sd, bias + LIMITS_SD * sd)
    return BlandAltman(n, bias, sd, limits, _pearson(pred, truth) if n > 2 else None)


def _defined(cases: Sequence[Agreement], metric: str) -> NDArray[np.float64]:
    """Values of the metric where it is defined."""
    values = [getattr(case, metric) for case in cases]
    return np.array([value for value in values if value is not None], np.float64)


def _distribution(values: NDArray[np.float64], seed: int) -> Distribution:
    n = len(values)
    if not n:
        return Distribution(0, None, None, None)
    return Distribution(n, float(values.mean()), float(np.median(values)), _bootstrap(values, seed) if n > 1 else None)


def _bootstrap(values: NDArray[np.float64], seed: int) -> Interval:
    """Percentile interval of the mean; cases are drawn with replacement."""
    drawn = np.random.default_rng(seed).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def _pearson(a: NDArray[np.float64], b: NDArray[np.float64]) -> float | None:
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(a, b)[0, 1])
