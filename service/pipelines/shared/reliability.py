"""How far a result can be relied on: figures that go with its error.

Why these, their limits, and how they rank cases by their true error: docs/decisions/0151.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.pipelines.shared.domes import at_domes

LEAST_AGREEMENT, MOST_GRADIENT_HU = 0.65, 250.0

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Reliability:
    """agreement: Dice, 0 to 1, of what the networks with and without the slices around find.

    clear_hu: median of the lung without opacity; None where there is none. gradient_hu: that of its back third minus
    that of its front third. dome_percent: part of the opacity near the diaphragm.
    """

    agreement: float
    clear_hu: float | None
    gradient_hu: float | None
    dome_percent: float

    @property
    def why_not(self) -> str:
        """Returns in a sentence why the result cannot be relied on; "" if it can."""
        if self.agreement < LEAST_AGREEMENT:
            return f"Two networks find different opacities (Dice {self.agreement:.2f})."
        if self.gradient_hu is None:
            return "There is hardly any clear lung to compare with."
        if abs(self.gradient_hu) > MOST_GRADIENT_HU:
            side = "back" if self.gradient_hu > 0 else "front"
            return f"The lung is {abs(self.gradient_hu):.0f} HU denser at the {side}, as in shallow breathing."
        return ""


def reliability(
    hu: NDArray[np.int16], lungs: Mask, found: Mask, spacing_mm: Sequence[float], agreement: float
) -> Reliability:
    """All arrays have the axes (slice to F, row to P, column to L); found: opacity."""
    clear, depth = lungs & ~found, _depth(lungs)
    front, back = _median(hu, clear & (depth < 1 / 3)), _median(hu, clear & (depth >= 2 / 3))
    domes = int(np.count_nonzero(found & at_domes(lungs, spacing_mm[0])))
    return Reliability(
        agreement=agreement,
        clear_hu=_median(hu, clear),
        gradient_hu=None if front is None or back is None else back - front,
        dome_percent=100.0 * domes / (int(np.count_nonzero(found)) or 1),
    )


def _depth(lungs: Mask) -> NDArray[np.float64]:
    """How far back each row lies in the lungs of its slice, 0 to 1; shape (slice, row, 1)."""
    rows: Mask = np.asarray(lungs.any(axis=2))
    first = rows.argmax(1)
    height = np.maximum(1, rows.shape[1] - 1 - rows[:, ::-1].argmax(1) - first)
    depth: NDArray[np.float64] = np.divide(np.arange(rows.shape[1])[None] - first[:, None], height[:, None])
    return np.asarray(depth[..., None])


def _median(hu: NDArray[np.int16], where: Mask) -> float | None:
    return float(np.median(hu[where])) if where.any() else None
