"""What a measurement is, and when its target is met."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from time import perf_counter
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Target:
    """A limit: the measured value shall be at least or at most this."""

    limit: float
    at_least: bool = False

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured quantity, once per repetition, in the order they ran. Its value is their median."""

    part: str
    name: str
    unit: str
    runs: tuple[float, ...]
    target: Target | None = None
    more_is_better: bool = False
    note: str = ""

    @property
    def median(self) -> float:
        return median(self.runs)

    @property
    def best(self) -> float:
        return max(self.runs) if self.more_is_better else min(self.runs)

    @property
    def met(self) -> bool | None:
        """None without a target."""
        return self.target.met(self.median) if self.target else None

    def document(self) -> dict[str, Any]:
        """As results.json holds it."""
        return {
            "part": self.part,
            "name": self.name,
            "unit": self.unit,
            "median": round(self.median, 3),
            "best": round(self.best, 3),
            "runs": [round(run, 3) for run in self.runs],
            "target": str(self.target) if self.target else None,
            "met": self.met,
            "note": self.note,
        }


def timed(work: Callable[[], T], repeat: int) -> tuple[T, tuple[float, ...]]:
    """The last result of `work`, and the wall-clock seconds of each of its `repeat` calls."""
    seconds = []
    for _ in range(repeat):
        began = perf_counter()
        result = work()
        seconds.append(perf_counter() - began)
    return result, tuple(seconds)


def columns(rows: Sequence[dict[str, float]]) -> dict[str, tuple[float, ...]]:
    """One mapping per repetition becomes the repetitions of each key; all mappings have the same keys."""
    return {key: tuple(row[key] for row in rows) for key in rows[0]}
