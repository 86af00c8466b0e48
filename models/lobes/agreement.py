"""How well found lobes agree with what people drew or wrote down."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe

from .truth import Points

Labels = NDArray[np.uint8]

MIN_OPACITY_MM2 = 25.0
"""Less found opacity in a lobe of a slice does not count as found."""


def dice(found: Labels, truth: Labels) -> dict[str, float]:
    """Dice coefficient per lobe."""
    return {
        lobe.name: round(
            2
            * np.count_nonzero((found == lobe) & (truth == lobe))
            / (np.count_nonzero(found == lobe) + np.count_nonzero(truth == lobe)),
            3,
        )
        for lobe in Lobe
    }


def same_lobe_part(found: Labels, truth: Labels) -> float:
    """The part of the lungs that lies in its true lobe."""
    return round(float((found == truth)[truth > 0].mean()), 3)


def distances_mm(drawn: Points, found: Points) -> dict[str, float]:
    """From each drawn point to the nearest point of the found border."""
    away = KDTree(found).query(drawn)[0]
    return {
        "mean": round(float(away.mean()), 1),
        "median": round(float(np.median(away)), 1),
        "p95": round(float(np.percentile(away, 95)), 1),
    }


def with_slice_labels(
    lobes: Labels, opacity: NDArray[np.bool_], said: Sequence[frozenset[Lobe]], pixel_mm2: float
) -> dict[str, Any]:
    """Found opacity per slice and lobe against the lobes that radiologists named for the slice.

    lobes, opacity: axes (slice, row, column). said: per slice, empty where it has no infection; such slices, and those
    where no opacity is found, say nothing about lobes and are left out.
    `in_named_lobe` looks at the lobes alone: of the opacity found in a lung with a named lobe, the part that lies in
    the named lobes of that lung.
    """
    area = np.stack([np.count_nonzero(opacity & (lobes == lobe), (1, 2)) for lobe in Lobe], 1) * pixel_mm2
    named = np.array([[lobe in slice_ for lobe in Lobe] for slice_ in said])
    used = named.any(1) & (area >= MIN_OPACITY_MM2).any(1)
    area, named = area[used], named[used]
    found = area >= MIN_OPACITY_MM2
    of_lobe = {lobe.name: _counts(found[:, k], named[:, k]) for k, lobe in enumerate(Lobe)}
    inside = whole = 0.0
    for of_lung in (RIGHT_LOBES, LEFT_LOBES):
        columns = [list(Lobe).index(lobe) for lobe in of_lung]
        area_, named_ = area[:, columns], named[:, columns]
        inside += area_[named_].sum()
        whole += area_[named_.any(1)].sum()
    return {
        "slices": int(used.sum()),
        "lobes": of_lobe,
        "all": _counts(found, named),
        "in_named_lobe": round(float(inside / whole), 3),
    }


def average(parts: Sequence[Mapping[str, float]], digits: int) -> dict[str, float]:
    """Mean over the patients of every number."""
    return {key: round(float(np.mean([part[key] for part in parts])), digits) for key in parts[0]}


def _counts(found: NDArray[np.bool_], named: NDArray[np.bool_]) -> dict[str, Any]:
    hits = int((found & named).sum())
    return {
        "named": int(named.sum()),
        "found": int(found.sum()),
        "sensitivity": round(hits / int(named.sum()), 3) if named.any() else None,
        "precision": round(hits / int(found.sum()), 3) if found.any() else None,
    }
