"""CT severity score, Pan 2020, 0-25: five lobes, each 0-5 by the affected part of the lobe.

Gaps of the published table (5-25, 26-50, ...) are closed on unrounded percentages:
0 | (0, 5) | [5, 25] | (25, 50] | (50, 75] | (75, 100].
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

NAME = "CT severity score, Pan 2020, 0-25"
MAX = 25

Category = Literal["none", "mild", "moderate", "severe"]


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
    if total == 0:
        return "none"
    return "mild" if total <= 5 else "moderate" if total <= 14 else "severe"


@dataclass(frozen=True, slots=True)
class Severity:
    """The score. `lobe_scores` by lobe name, None for a missing lobe; then total and category are None too."""

    lobe_scores: Mapping[str, int | None]
    total: int | None
    category: Category | None


def severity(opacity_percent: Mapping[str, float | None]) -> Severity:
    """Score five lobes from their unrounded percentages; a missing lobe (None) is never scored, nor is the total."""
    scores = {lobe: None if p is None else lobe_score(p) for lobe, p in opacity_percent.items()}
    known = [s for s in scores.values() if s is not None]
    if len(known) != 5:
        return Severity(scores, None, None)
    total = sum(known)
    return Severity(scores, total, category(total))
