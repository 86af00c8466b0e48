"""The life of a job: its state is a table.

created → queued → running → analysed → delivering → delivered
                      ├─────→ refused         └────→ undelivered
                      └─────→ failed

`failed` and `undelivered` wait for an operator's retry. Until its results are delivered, a newer job of the same study
supersedes a job: its results would be those of an incomplete study.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from service.errors import Flag, Refusal, ThoracleError


class State(StrEnum):
    """Where a job stands."""

    CREATED = "created"
    QUEUED = "queued"
    RUNNING = "running"
    ANALYSED = "analysed"
    DELIVERING = "delivering"
    DELIVERED = "delivered"
    UNDELIVERED = "undelivered"
    REFUSED = "refused"
    FAILED = "failed"
    SUPERSEDED = "superseded"


class Event(StrEnum):
    """What happens to a job."""

    QUEUE = "queue"
    START = "start"
    ANALYSE = "analyse"
    REFUSE = "refuse"
    FAIL = "fail"
    RETRY = "retry"
    DELIVER = "deliver"
    COMPLETE = "complete"
    GIVE_UP = "give up"
    SUPERSEDE = "supersede"


class IllegalTransition(ThoracleError):
    """The event cannot happen in this state."""


_S, _E = State, Event
TRANSITIONS: Mapping[tuple[State, Event], State] = {
    (_S.CREATED, _E.QUEUE): _S.QUEUED,
    (_S.CREATED, _E.SUPERSEDE): _S.SUPERSEDED,
    (_S.QUEUED, _E.SUPERSEDE): _S.SUPERSEDED,
    (_S.RUNNING, _E.SUPERSEDE): _S.SUPERSEDED,
    (_S.ANALYSED, _E.SUPERSEDE): _S.SUPERSEDED,
    (_S.DELIVERING, _E.SUPERSEDE): _S.SUPERSEDED,
    (_S.UNDELIVERED, _E.SUPERSEDE): _S.SUPERSEDED,
    (_S.CREATED, _E.START): _S.RUNNING,  # the worker was quicker than the note that it is queued
    (_S.QUEUED, _E.START): _S.RUNNING,
    (_S.RUNNING, _E.START): _S.RUNNING,  # again, after the process that ran it was killed
    (_S.RUNNING, _E.RETRY): _S.QUEUED,
    (_S.RUNNING, _E.ANALYSE): _S.ANALYSED,
    (_S.RUNNING, _E.REFUSE): _S.REFUSED,
    (_S.RUNNING, _E.FAIL): _S.FAILED,
    (_S.QUEUED, _E.FAIL): _S.FAILED,
    (_S.FAILED, _E.RETRY): _S.QUEUED,
    (_S.ANALYSED, _E.DELIVER): _S.DELIVERING,
    (_S.DELIVERING, _E.DELIVER): _S.DELIVERING,  # planned again, after a kill
    (_S.DELIVERING, _E.COMPLETE): _S.DELIVERED,
    (_S.DELIVERING, _E.GIVE_UP): _S.UNDELIVERED,
    (_S.UNDELIVERED, _E.DELIVER): _S.DELIVERING,
}


def advance(state: State, event: Event) -> State:
    """The next state; IllegalTransition if the table has none."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a job that is {state} cannot {event}") from None


@dataclass(frozen=True, slots=True)
class Job:
    """One analysis of one revision of a study. supersedes: the older job that this one replaces."""

    job_id: str
    study_uid: str
    revision: int
    supersedes: str | None
    state: State
    created_at: datetime
    acquired_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One result object on disk. kind: "lobes.seg" and the like; path: relative to the data directory."""

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    path: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Result:
    """How an analysis ended. series_uid: the analysed series, None when every series was refused or it failed."""

    series_uid: str | None = None
    refusals: Mapping[str, Sequence[Refusal]] = field(default_factory=dict)
    flags: Sequence[Flag] = ()
    severity_total: int | None = None
    timings_s: Mapping[str, float] = field(default_factory=dict)
    objects: Sequence[StoredObject] = ()
    error: str = ""


class Delivered(StrEnum):
    """Where one object stands at one destination."""

    PENDING = "pending"
    STORED = "stored"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ObjectDelivery:
    """What became of one object in one attempt. status: of the C-STORE response, None without a response."""

    sop_instance_uid: str
    state: Delivered
    status: int | None = None
    error: str = ""
