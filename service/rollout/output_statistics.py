"""Statistics of a network's answers in one analysis, and their distance from those of a reference."""

from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from service.domain.ports import Array
from service.inference.tensors import one_step

MAX_FURTHER = 1e-3
"""Part of the values that may differ by more than one step, as `inference.known_answer` has it. In 16 bits the
released network stays far below it (docs/decisions/0094)."""


@dataclass(frozen=True, slots=True)
class OutputStatistics:
    """The answers of one channel of a model, of any type. Differences are in steps (`inference.tensors.one_step`).

    values: how many. low, high: the least and the greatest, of numbers only. not_numbers: NaN and infinite ones.
    compared: values that have an expected one beside them; expected_low, expected_high: of those. largest: the greatest
    difference, in steps; further: values that differ by more than one.
    """

    model: str
    channel: str
    values: int = 0
    low: float = np.inf
    high: float = -np.inf
    not_numbers: int = 0
    compared: int = 0
    expected_low: float = np.inf
    expected_high: float = -np.inf
    largest: float = 0.0
    further: int = 0

    def with_call(self, values: Array, expected: Array | None) -> Self:
        """After one more call. Arrays of one shape; expected: None where there is nothing to compare with."""
        numbers = np.isfinite(values)
        values = values.astype(np.float64)
        after = replace(
            self,
            values=self.values + values.size,
            low=min(self.low, float(values.min(where=numbers, initial=np.inf))),
            high=max(self.high, float(values.max(where=numbers, initial=-np.inf))),
            not_numbers=self.not_numbers + int(np.count_nonzero(~numbers)),
        )
        if expected is None:
            return after
        apart = np.abs(values - expected.astype(np.float64)) / one_step(expected)
        return replace(
            after,
            compared=self.compared + values.size,
            expected_low=min(self.expected_low, float(expected.min())),
            expected_high=max(self.expected_high, float(expected.max())),
            largest=max(self.largest, float(apart.max(where=numbers, initial=0.0))),
            further=self.further + int(np.count_nonzero(~(apart <= 1.0))),
        )

    @property
    def further_part(self) -> float:
        """Of the compared values, 0-1."""
        return self.further / self.compared if self.compared else 0.0

    @property
    def _expected_constant(self) -> bool:
        return self.compared == self.values and self.expected_low == self.expected_high

    @property
    def nonsense(self) -> str | None:
        """What no working network says of a whole CT, in words; None if it may be right.

        One value everywhere may be right where the same one is expected, to one step, or where there is but one.
        """
        if self.not_numbers:
            return f"{self} holds values that are not numbers (NaN or infinity)"
        if self.low < self.high or self.values == 1 or (self._expected_constant and self.largest <= 1.0):
            return None
        return f"{self} is all black: 0 everywhere" if self.high == 0 else f"{self} is {self.high:g} everywhere"

    @property
    def mistake(self) -> str | None:
        """Nonsense, or too far from what is expected; None if neither."""
        if self.nonsense or self.further_part <= MAX_FURTHER:
            return self.nonsense
        return f"{self} differs by more than 1 of 255 in {self.further_part:.2%} of the values"

    def __str__(self) -> str:
        return f"{self.model}, {self.channel},"

    def as_document(self) -> dict[str, Any]:
        """Ready for `json.dumps(..., allow_nan=False)`."""
        return {
            "model": self.model,
            "channel": self.channel,
            "values": self.values,
            "compared": self.compared,
            "largest": self.largest,
            "further": round(self.further_part, 9),
            "mistake": self.mistake,
        }
