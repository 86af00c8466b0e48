"""CT severity score, Pan 2020, 0-25: five lobes, each 0-5 by the affected part of the lobe.

Gaps of the published table (5-25, 26-50, ...) are closed on unrounded percentages:
0 | (0, 5) | [5, 25] | (25, 50] | (50, 75] | (75, 100].

The published rule gives a lobe 1 for any opacity above 0, and a model finds some in normal lungs. The reported score
therefore has a noise floor, measured on the model; the score without it stands beside it (docs/decisions/0125).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from service.domain.anatomy import Lobe

NAME = "CT severity score, Pan 2020, 0-25"
MAX = 25

WITHIN_NORMAL = "within what is found in normal lungs"

Category = Literal["none", "mild", "moderate", "severe"]

HIGHEST: Mapping[Category, int] = {"none": 0, "mild": 5, "moderate": 14, "severe": MAX}
"""The highest total of each category, in increasing order."""


class Opacity(Protocol):
    """Opacity of one lobe, as `measure.Region` has it."""

    @property
    def opacity_ml(self) -> float: ...

    @property
    def opacity_percent(self) -> float: ...


@dataclass(frozen=True, slots=True)
class NoiseFloor:
    """Opacity that a model finds in one lobe of normal lungs: a lobe is scored only if it exceeds both limits.

    opacity_percent: of the lobe, below 5: what the published rule scores 2 or more is never noise. ValueError outside.
    """

    opacity_ml: float
    opacity_percent: float

    def __post_init__(self) -> None:
        if not (0.0 < self.opacity_ml < math.inf and 0.0 < self.opacity_percent < 5.0):
            raise ValueError(f"a noise floor lies above 0 mL and between 0 and 5 %, unlike {self}")

    def covers(self, lobe: Opacity) -> bool:
        """Whether a lobe's opacity may be noise: it does not exceed both limits, and is less than 5 % of the lobe."""
        if lobe.opacity_percent >= 5.0:
            return False
        return lobe.opacity_ml <= self.opacity_ml or lobe.opacity_percent <= self.opacity_percent


def lobe_score(opacity_percent: float) -> int:
    """Score 0-5 of one lobe from its affected part in unrounded percent; ValueError outside 0-100."""
    if not 0.0 <= opacity_percent <= 100.0 + 1e-9:
        raise ValueError(f"opacity percent {opacity_percent} is outside 0-100")
    if opacity_percent == 0.0:
        return 0
    if opacity_percent < 5.0:
        return 1
    return 2 + sum(opacity_percent > limit for limit in (25.0, 50.0, 75.0))


def category(total: int) -> Category:
    """Involvement: none 0, mild 1-5, moderate 6-14, severe 15-25."""
    if not 0 <= total <= MAX:
        raise ValueError(f"severity {total} is outside 0-{MAX}")
    return next(name for name, highest in HIGHEST.items() if total <= highest)


@dataclass(frozen=True, slots=True)
class Score:
    """One score of five lobes. `lobe_scores` by lobe name, None for a missing lobe; then total and category are too."""

    lobe_scores: Mapping[str, int | None]
    total: int | None
    category: Category | None


@dataclass(frozen=True, slots=True)
class Severity(Score):
    """The reported score, which has the noise floor, and the published rule's.

    without_floor: the published rule's score. floor: None where none was measured; both scores are equal then.
    """

    without_floor: Score
    floor: NoiseFloor | None

    @property
    def within_normal(self) -> bool:
        """Whether there is opacity, but in no lobe more than the noise floor."""
        return self.total == 0 and self.without_floor.total != 0

    @property
    def involvement(self) -> str | None:
        """The category in words; None without a total."""
        return f"none: {WITHIN_NORMAL}" if self.within_normal else self.category


def severity(lobes: Mapping[str, Opacity | None], floor: NoiseFloor | None) -> Severity:
    """Score five lobes with and without the noise floor; a missing lobe (None) is never scored, nor is the total."""
    reported, published = (
        _score({name: None if lobe is None else _lobe(lobe, applied) for name, lobe in lobes.items()})
        for applied in (floor, None)
    )
    return Severity(reported.lobe_scores, reported.total, reported.category, published, floor)


def withheld(floor: NoiseFloor | None) -> Severity:
    """No score of any lobe, and no total."""
    return severity(dict.fromkeys((lobe.name for lobe in Lobe), None), floor)


def _lobe(lobe: Opacity, floor: NoiseFloor | None) -> int:
    score = lobe_score(lobe.opacity_percent)
    return 0 if floor is not None and floor.covers(lobe) else score


def _score(lobe_scores: Mapping[str, int | None]) -> Score:
    known = [score for score in lobe_scores.values() if score is not None]
    if len(known) != 5:
        return Score(lobe_scores, None, None)
    total = sum(known)
    return Score(lobe_scores, total, category(total))
