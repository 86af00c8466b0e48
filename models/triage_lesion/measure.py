"""Measure the network on a prepared volume: all of it at once, within its lungs, at probability 0.5."""

from typing import Any

import numpy as np
from scipy import ndimage
from torch import nn

from .spec import SPACING_MM
from .train import probabilities
from .volumes import Mask, Volume

LESION_ML = 0.1
"""Smaller labelled lesions are not counted."""

_ML = float(np.prod(SPACING_MM)) / 1000.0


def measure(network: nn.Module, volume: Volume) -> dict[str, Any]:
    """burden_percent: of the lungs. Where lesions are labelled: Dice, volumes, and how many lesions are touched. Where
    it is known that there is none: false_percent of the lungs in which that is known."""
    found = (probabilities(network, volume) >= 0.5) & volume.lung
    result: dict[str, Any] = {"burden_percent": _percent(found, volume.lung)}
    if not volume.known.any():
        return result
    inside = volume.lung & volume.known
    truth = volume.lesion & inside
    if not truth.any():
        return result | {"false_percent": _percent(found & inside, inside)}
    both = np.count_nonzero(found & truth)
    touched, lesions = _lesions(found, truth)
    return result | {
        "dice": round(2.0 * both / (np.count_nonzero(found & inside) + np.count_nonzero(truth)), 3),
        "found_ml": round(np.count_nonzero(found & inside) * _ML, 1),
        "labelled_ml": round(np.count_nonzero(truth) * _ML, 1),
        "labelled_percent": _percent(truth, volume.lung),
        "lesions": lesions,
        "lesions_found": touched,
    }


def _percent(part: Mask, whole: Mask) -> float:
    return round(100.0 * np.count_nonzero(part) / np.count_nonzero(whole), 3)


def _lesions(found: Mask, truth: Mask) -> tuple[int, int]:
    """How many labelled lesions are touched, and how many there are."""
    parts, count = ndimage.label(truth, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=count + 1) * _ML
    large = sizes >= LESION_ML
    large[0] = False
    hit = np.bincount(parts[found], minlength=count + 1) > 0
    return int((hit & large).sum()), int(large.sum())
