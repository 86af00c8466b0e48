"""Does a converted network say what the original says? The gate that every conversion has to pass."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.errors import Permanent

MAX_DIFFERENCE = 1e-4
"""Of two probabilities of the same voxel and class."""

MAX_FLIPPED = 1e-4
"""Part of the voxels that get another label: 0.01 %."""


@dataclass(frozen=True, slots=True)
class Parity:
    """difference: the largest of all probabilities. flipped: part of the voxels with another label, 0-1."""

    difference: float
    flipped: float

    def __str__(self) -> str:
        return f"largest difference of a probability {self.difference:.1e}, labels that differ {self.flipped:.4%}"


def check_parity(original: NDArray[np.float32], converted: NDArray[np.float32]) -> Parity:
    """Compare probabilities, axes (image, class, ...); the label is the most probable class.

    Permanent above `MAX_DIFFERENCE` or `MAX_FLIPPED`, or where a value is not a number.
    """
    found = Parity(float(np.abs(original - converted).max()), float((original.argmax(1) != converted.argmax(1)).mean()))
    if not (found.difference <= MAX_DIFFERENCE and found.flipped <= MAX_FLIPPED):
        raise Permanent(
            f"The converted network does not repeat the original: {found}; "
            f"allowed are {MAX_DIFFERENCE:.0e} and {MAX_FLIPPED:.2%}."
        )
    return found
