"""Routing rules: they choose, from facts of a study, its pipelines and the destinations of its results.

Names are compared without regard to case; * and ? stand for any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What rules look at. An attribute that the CT does not have is "" or () and matches * only.

    descriptions: of the study and of series. kernels: Convolution Kernel. contrast: agents in the blood, () without
    one. procedures: codes and meanings of the procedure. age_years: None where it is not known. received_at: of
    the first image; aware, in the site's zone. pipeline: whose results are routed, "" before the analysis.

    They are those of one series: for results, of the analysed one; before the analysis, each series is looked at.
    """

    calling_ae: str
    called_ae: str
    station: str
    descriptions: tuple[str, ...]
    body_part: str
    received_at: datetime
    kernels: tuple[str, ...] = ()
    contrast: tuple[str, ...] = ()
    procedures: tuple[str, ...] = ()
    age_years: float | None = None
    pipeline: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Patterns, any of which must match; an empty tuple matches everything. All conditions must hold.

    contrast: whether a contrast agent must, or must not, be in the blood. age: from the first to the second, in years;
    a study without age does not match. between: from the first time to the second, past midnight if that is earlier.
    """

    calling_ae: tuple[str, ...] = ()
    called_ae: tuple[str, ...] = ()
    station: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    kernel: tuple[str, ...] = ()
    procedure: tuple[str, ...] = ()
    pipeline: tuple[str, ...] = ()
    contrast: bool | None = None
    age: tuple[float, float] | None = None
    between: tuple[time, time] | None = None

    def matches(self, facts: StudyFacts) -> bool:
        """Whether all conditions hold."""
        return (
            _any(self.calling_ae, [facts.calling_ae])
            and _any(self.called_ae, [facts.called_ae])
            and _any(self.station, [facts.station])
            and _any(self.description, facts.descriptions)
            and _any(self.body_part, [facts.body_part])
            and _any(self.kernel, facts.kernels or [""])
            and _any(self.procedure, facts.procedures or [""])
            and _any(self.pipeline, [facts.pipeline])
            and self.contrast in (None, bool(facts.contrast))
            and _aged(self.age, facts.age_years)
            and _within(self.between, facts.received_at.time())
        )


def routed(rules: Sequence[Rule], facts: StudyFacts) -> bool:
    """Whether these rules take the study. One rule that matches is enough; without rules it is taken."""
    return not rules or any(rule.matches(facts) for rule in rules)


def _any(patterns: Sequence[str], values: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(value.upper(), p.upper()) for value in values for p in patterns)


def _aged(limits: tuple[float, float] | None, age_years: float | None) -> bool:
    if limits is None:
        return True
    return age_years is not None and limits[0] <= age_years <= limits[1]


def _within(between: tuple[time, time] | None, now: time) -> bool:
    if between is None:
        return True
    start, end = between
    return start <= now < end if start <= end else now >= start or now < end
