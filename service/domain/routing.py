"""Which destinations get the results of a study. Names are compared without regard to case; * and ? stand for any."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time
from fnmatch import fnmatchcase


@dataclass(frozen=True, slots=True)
class StudyFacts:
    """What rules look at. An attribute that the CT does not have is "" and matches * only.

    descriptions: of the study and of the analysed series. received_at: of its first
    image; aware, in the site's zone.
    """

    calling_ae: str
    called_ae: str
    station: str
    descriptions: tuple[str, ...]
    body_part: str
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Rule:
    """Patterns, any of which must match; an empty tuple matches everything. All conditions must hold.

    between: from the first time to the second, past midnight if that is earlier.
    """

    calling_ae: tuple[str, ...] = ()
    called_ae: tuple[str, ...] = ()
    station: tuple[str, ...] = ()
    description: tuple[str, ...] = ()
    body_part: tuple[str, ...] = ()
    between: tuple[time, time] | None = None

    def matches(self, facts: StudyFacts) -> bool:
        return (
            _any(self.calling_ae, [facts.calling_ae])
            and _any(self.called_ae, [facts.called_ae])
            and _any(self.station, [facts.station])
            and _any(self.description, facts.descriptions)
            and _any(self.body_part, [facts.body_part])
            and _within(self.between, facts.received_at.time())
        )


def routed(rules: Sequence[Rule], facts: StudyFacts) -> bool:
    """Does a destination with these rules get the study? One rule that matches is enough; without rules it does."""
    return not rules or any(rule.matches(facts) for rule in rules)


def _any(patterns: Sequence[str], values: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(value.upper(), p.upper()) for value in values for p in patterns)


def _within(between: tuple[time, time] | None, now: time) -> bool:
    if between is None:
        return True
    start, end = between
    return start <= now < end if start <= end else now >= start or now < end
