"""Order of the jobs: the one with the earliest virtual time goes first.

That is when its study was complete, less a head start for urgent ones. So STAT goes before routine, and still nothing
starves: whatever has waited longer than another's head start goes before it.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Urgency(StrEnum):
    """Study urgency, in increasing order."""

    ROUTINE = "routine"
    URGENT = "urgent"
    STAT = "stat"


_HEAD_STARTS = {Urgency.ROUTINE: timedelta(0), Urgency.URGENT: timedelta(hours=2), Urgency.STAT: timedelta(hours=12)}

_START = datetime(2020, 1, 1, tzinfo=UTC)

_REQUESTED = {"STAT": Urgency.STAT, "HIGH": Urgency.URGENT}


def requested(priority: str) -> Urgency:
    """By Requested Procedure Priority (0040,1003) of an image; "" where it has none."""
    return _REQUESTED.get(priority.upper(), Urgency.ROUTINE)


def most_urgent(*urgencies: Urgency) -> Urgency:
    return max(urgencies, key=list(Urgency).index)


def after_analysis(urgency: Urgency, urgent: bool) -> Urgency:
    """An urgent result makes the study urgent, whoever sent it."""
    return most_urgent(urgency, Urgency.URGENT if urgent else Urgency.ROUTINE)


def virtual_time_s(complete_at: datetime, urgency: Urgency) -> int:
    """Seconds since 2020, 1 to 2**31 - 1: the lowest goes first. complete_at: aware."""
    return max(1, round((complete_at - _HEAD_STARTS[urgency] - _START).total_seconds()))
