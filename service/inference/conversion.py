"""Checks that an ONNX file gives the same answers as the network it was made from, before it may be used."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.errors import Permanent

MAX_DIFFERENCE = 1e-4
"""Of two probabilities of the same voxel and class."""

MAX_FLIPPED = 1e-4
"""Part of the labels that differ: 0.01 %."""


@dataclass(frozen=True, slots=True)
class Fidelity:
    """difference: the largest of all probabilities. flipped: part of the labels that differ, 0-1."""

    difference: float
    flipped: float

    @property
    def passed(self) -> bool:
        """False too where a value is not a number."""
        return self.difference <= MAX_DIFFERENCE and self.flipped <= MAX_FLIPPED

    def __str__(self) -> str:
        return f"largest difference of a probability {self.difference:.1e}, labels that differ {self.flipped:.4%}"


def check_conversion(
    original: NDArray[np.float32], converted: NDArray[np.float32], thresholds: Sequence[float] | None = None
) -> Fidelity:
    """Compare probabilities, axes (image, class, row, column).

    thresholds: one per class where every class is a label of its own; None where the most probable class is the label.
    Permanent above `MAX_DIFFERENCE` or `MAX_FLIPPED`, or where a value is not a number.
    """
    flipped = _labels(original, thresholds) != _labels(converted, thresholds)
    found = Fidelity(float(np.abs(original - converted).max()), float(flipped.mean()))
    if not found.passed:
        raise Permanent(
            f"The converted network does not repeat the original: {found}; "
            f"allowed are {MAX_DIFFERENCE:.0e} and {MAX_FLIPPED:.2%}."
        )
    return found


def _labels(probability: NDArray[np.float32], thresholds: Sequence[float] | None) -> NDArray[Any]:
    """The most probable class of every voxel, or whether each class reaches its threshold there."""
    if thresholds is None:
        return np.asarray(probability.argmax(1))
    return np.asarray(probability >= np.array(thresholds)[:, None, None])
