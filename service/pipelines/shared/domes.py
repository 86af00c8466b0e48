"""Where the lungs end towards the feet: over the domes of the diaphragm opacities are hardest to tell."""

import numpy as np
from numpy.typing import NDArray

ABOVE_MM = 30.0

Mask = NDArray[np.bool_]


def at_domes(lungs: Mask, slice_mm: float) -> Mask:
    """The lung within `ABOVE_MM` above where it ends, column by column; axes (slice to F, row, column).

    Below the last slice nothing is known: a lung that reaches it does not end there. slice_mm: from slice to slice.
    """
    ends = lungs.copy()
    ends[:-1] &= ~lungs[1:]
    ends[-1] = False
    near = np.zeros_like(lungs)
    for above in range(min(len(lungs), max(1, round(ABOVE_MM / slice_mm)))):
        near[: len(lungs) - above] |= ends[above:]
    return near & lungs
