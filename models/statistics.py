"""How sure a mean over few patients is."""

from collections.abc import Sequence

import numpy as np
from scipy.stats import bootstrap


def mean_with_interval(values: Sequence[float], digits: int = 3) -> list[float]:
    """Mean and the ends of its 95 % interval by bootstrap (percentile, seeded).

    values: one per patient. Of three the interval is the range from the least to the greatest: it says how far apart
    they are, not where a fourth would be.
    """
    found = np.array(values, float)
    interval = bootstrap((found,), np.mean, method="percentile", rng=0).confidence_interval
    return [round(float(value), digits) for value in (found.mean(), interval.low, interval.high)]
