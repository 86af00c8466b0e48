"""Decides when the receiver refuses new studies, and when it refuses everything. C-STORE then answers 0xA700.

There are three causes: little free space, too many jobs that wait, too many of one sender. Each has two marks: what is
refused at one is taken again only at the other, so that the answer does not change from slice to slice.

A sender that has its share of the queue is refused alone, but for its STAT studies while there is room; where others
fill the queue, STAT studies are taken from all that have not their share. The images of a study that has begun are
taken as long as there is any room: half a study helps nobody.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum

_QUEUE_RESUMES_AT = 0.9
_SHARE = 0.8
"""The part of the queue that one sender may fill: it may be the one gateway of a site, and leaves room for others."""


class Cause(StrEnum):
    """A reason why new studies are refused: what is full."""

    DISK = "disk"
    QUEUE = "queue"
    SENDER = "sender"


class TurnedAway(IntEnum):
    """Which images senders are turned away with, under pressure."""

    NOTHING = 0
    NEW_STUDIES = 1
    EVERYTHING = 2


@dataclass(frozen=True, slots=True)
class Marks:
    """min_free_bytes: with less, new studies are refused, with half of it everything; above resume_free_bytes they are
    taken again. max_waiting: with as many jobs, new studies are refused, until a tenth of them is done; None: never.
    max_waiting_each: the same for the jobs of one sender; None: four fifths of `max_waiting`.
    """

    min_free_bytes: float = 0
    resume_free_bytes: float = 0
    max_waiting: int | None = None
    max_waiting_each: int | None = None

    def by_space(self, free_bytes: float, before: TurnedAway) -> TurnedAway:
        """What is to be refused now; before: what was until now."""
        if free_bytes < self.min_free_bytes * (1 if before is TurnedAway.EVERYTHING else 0.5):
            return TurnedAway.EVERYTHING
        if free_bytes < (self.resume_free_bytes if before else self.min_free_bytes):
            return TurnedAway.NEW_STUDIES
        return TurnedAway.NOTHING

    def by_queue(self, waiting: int, before: TurnedAway) -> TurnedAway:
        """As `by_space`, for the number of jobs that wait."""
        if self.max_waiting is None:
            return TurnedAway.NOTHING
        enough = self.max_waiting * (_QUEUE_RESUMES_AT if before else 1)
        return TurnedAway.NEW_STUDIES if waiting >= enough else TurnedAway.NOTHING

    @property
    def counts_jobs(self) -> bool:
        """Whether anything depends on the jobs that wait."""
        return self.max_waiting is not None or self.max_waiting_each is not None

    def by_sender(self, waiting: int, before: TurnedAway) -> TurnedAway:
        """As `by_queue`, for one sender, of whose jobs so many wait."""
        each = self.max_waiting_each
        if each is None and self.max_waiting is not None:
            each = max(1, round(_SHARE * self.max_waiting))
        return Marks(max_waiting=each).by_queue(waiting, before)
