"""Order of the jobs: the one with the earliest virtual time goes first.

That is when its study was complete, less a head start for urgent ones, and a smaller one by the rank of its result. So
STAT goes before routine, a high rank before a low one, and still nothing starves: whatever has waited longer than
another's head start goes before it. Who sends many studies at once has the later ones wait (start-time fair queueing,
Goyal et al., SIGCOMM 1996): each takes its turn half a minute after the one before, and others' come in between; but
never more than an hour later, so that whoever has used idle hours does not wait as long when others come.
"""

from datetime import UTC, datetime, timedelta
from enum import StrEnum


class Urgency(StrEnum):
    """Study urgency, in increasing order."""

    ROUTINE = "routine"
    URGENT = "urgent"
    STAT = "stat"


_HEAD_STARTS = {Urgency.ROUTINE: timedelta(0), Urgency.URGENT: timedelta(hours=2), Urgency.STAT: timedelta(hours=12)}

_HIGHEST_RANK = timedelta(hours=1)
"""Head start of a result of rank 1, in proportion for a lower one: less than from any urgency to the next."""

TURN_S, LONGEST_TURNS_S = 30, 3600
"""Between the turns of one sender's studies: about what an analysis takes; and all that they add at most, less than the
head start from one urgency to the next."""

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


def virtual_time_s(complete_at: datetime, urgency: Urgency, rank: float | None = None) -> int:
    """Seconds since 2020, 1 to 2**31 - 1: the lowest goes first.

    complete_at: aware. rank: of the result, 0 to 1; None before there is one, or if its pipeline gives none.
    """
    head_start = _HEAD_STARTS[urgency] + (rank or 0.0) * _HIGHEST_RANK
    return max(1, round((complete_at - head_start - _START).total_seconds()))


def in_turn(time_s: int, last_s: int | None) -> int:
    """The virtual time of a study whose sender has others that wait. last_s: of the last of them with this urgency."""
    return time_s if last_s is None else max(time_s, min(last_s + TURN_S, time_s + LONGEST_TURNS_S))
