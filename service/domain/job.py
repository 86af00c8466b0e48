"""The life of a job: its state is a table.

created → queued → running → analysed → delivering → delivered
                      ├─────→ refused         └────→ undelivered
                      └─────→ failed

`failed` and `undelivered` wait for an operator's retry, and an operator may cancel whatever has not ended. Until its
results are delivered, a newer job of the same study supersedes a job: its results would be those of an incomplete
study. A refused job stays refused while the notices of why are delivered.

Each result object has a state of its own at each destination:

built → sent → stored → committed
  ↑      │       ├──────→ unconfirmed
  └──────┴───────┴──────→ refused

`sent` is in flight: no answer is known yet. Where the destination confirms nothing, `stored` is the end; without a
status the destination took it in words that we do not understand, and it is looked for before it counts.
`unconfirmed` was stored, and the destination then never answered for it, or was seen not to have it again and again.
`withheld` was not sent because what it refers to is not there. `refused`, `unconfirmed` and `withheld` wait for an
operator. `withdrawn` was stopped by an operator before it was stored, belongs to a destination that is none any more,
or was replaced by another style of the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from service.domain.flags import Flag
from service.domain.priority import Urgency
from service.domain.routing import StudyFacts
from service.domain.scanner import UNKNOWN
from service.errors import Refusal, ThoracleError


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
    CANCELLED = "cancelled"


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
    RESEND = "resend"
    CANCEL = "cancel"


class NoSuchJob(ThoracleError, LookupError):
    """There is no job with this id."""


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
    (_S.ANALYSED, _E.RESEND): _S.DELIVERING,  # no destination wanted it until now
    (_S.UNDELIVERED, _E.RESEND): _S.DELIVERING,
    (_S.DELIVERED, _E.RESEND): _S.DELIVERING,
    (_S.DELIVERING, _E.RESEND): _S.DELIVERING,
    (_S.REFUSED, _E.DELIVER): _S.REFUSED,
    (_S.REFUSED, _E.RESEND): _S.REFUSED,
    (_S.REFUSED, _E.CANCEL): _S.REFUSED,  # nothing more is sent of why
    (_S.CREATED, _E.CANCEL): _S.CANCELLED,
    (_S.QUEUED, _E.CANCEL): _S.CANCELLED,
    (_S.RUNNING, _E.CANCEL): _S.CANCELLED,
    (_S.ANALYSED, _E.CANCEL): _S.CANCELLED,
    (_S.DELIVERING, _E.CANCEL): _S.CANCELLED,
    (_S.UNDELIVERED, _E.CANCEL): _S.CANCELLED,
    (_S.FAILED, _E.CANCEL): _S.CANCELLED,
}

SENDING = (State.DELIVERING, State.REFUSED)
"""States of a job whose objects may be on their way."""


def advance(state: State, event: Event) -> State:
    """The next state; IllegalTransition if the table has none."""
    try:
        return TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"a job that is {state} cannot {event}") from None


@dataclass(frozen=True, slots=True)
class Job:
    """One analysis of one revision of a study. supersedes: the older job that this one replaces.

    priority: the lowest goes first (`priority.virtual_time_s`). facts: what routing rules look at, None before the
    analysis. purged_at: when its images and results were given up. delivered_at: when all of them first were delivered.
    number: of its result among those of the study, from 1; `revision` counts changes of its images. started_at: when
    the analysis began.
    """

    job_id: str
    study_uid: str
    revision: int
    supersedes: str | None
    state: State
    created_at: datetime
    acquired_at: datetime | None
    urgency: Urgency = Urgency.ROUTINE
    priority: int = 1
    facts: StudyFacts | None = None
    purged_at: datetime | None = None
    delivered_at: datetime | None = None
    number: int = 1
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One result object on disk. kind: "lobes", "study" and the like; path: relative to the data directory.

    style: for which destinations it was encoded; None: for all. refers_to: SOP Instance UIDs of other objects.
    """

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    path: str
    sha256: str
    style: str | None = None
    series_uid: str | None = None
    refers_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How an analysis ended. series_uid: the analysed series, None when every series was refused or it failed.

    headline: ready for JSON, as `evidence.result` has it; None where nothing was analysed. urgent: it is to be read
    first. drift: what is watched over many studies, by name. scanner: as `domain.scanner` names it.
    models: that made the result, or were asked before it was refused, each with name, version, sha256 and whether it is
    a candidate. shadows: candidates that are to analyse the study too, version by model name.
    """

    series_uid: str | None = None
    refusals: Mapping[str, Sequence[Refusal]] = field(default_factory=dict)
    flags: Sequence[Flag] = ()
    headline: Mapping[str, Any] | None = None
    urgent: bool = False
    drift: Mapping[str, float] = field(default_factory=dict)
    scanner: str = UNKNOWN
    timings_s: Mapping[str, float] = field(default_factory=dict)
    objects: Sequence[StoredObject] = ()
    facts: StudyFacts | None = None
    models: Sequence[Mapping[str, Any]] = ()
    shadows: Mapping[str, str] = field(default_factory=dict)
    error: str = ""


class Delivered(StrEnum):
    """Where one object stands at one destination."""

    BUILT = "built"
    SENT = "sent"
    STORED = "stored"
    COMMITTED = "committed"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"
    WITHHELD = "withheld"
    WITHDRAWN = "withdrawn"


NOT_THERE = (Delivered.REFUSED, Delivered.UNCONFIRMED, Delivered.WITHHELD)
"""Ends that wait for an operator."""

ABSENCES_AT_MOST = 3
"""Times that an object is stored, and then seen to be absent, before it is sent no more."""


class Confirm(StrEnum):
    """What makes an object delivered, beyond the answer that it was stored."""

    NONE = "none"
    QUERY = "query"
    COMMITMENT = "commitment"


@dataclass(frozen=True, slots=True)
class ObjectDelivery:
    """What became of one object in one attempt. status: of the response, None without one.

    tried: it was sent; else the attempt left it out. sent_as: SOP class and SOP Instance UID after a conversion.
    """

    sop_instance_uid: str
    state: Delivered
    status: int | None = None
    error: str = ""
    tried: bool = True
    sent_as: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class OpenDelivery:
    """One object that is not settled at a destination.

    attempts: times it was sent. planned_at: when it was to be delivered, or an operator wanted it again.
    stored_at, first_stored_at: the latest and the first time since then. asked: commitments that the peer accepted to
    answer and has not. asked_at: when it last accepted one. sent_as: SOP class and SOP Instance UID after a conversion.
    status: of the latest response since it was planned, None without one.
    """

    stored: StoredObject
    state: Delivered
    confirm: Confirm
    attempts: int
    planned_at: datetime
    stored_at: datetime | None
    asked: int
    asked_at: datetime | None
    first_stored_at: datetime | None = None
    sent_as: tuple[str, str] | None = None
    status: int | None = None

    @property
    def sop_class_uid(self) -> str:
        """SOP class of the object that the destination got."""
        return self.sent_as[0] if self.sent_as else self.stored.sop_class_uid

    @property
    def sop_instance_uid(self) -> str:
        """SOP Instance UID of the object that the destination got."""
        return self.sent_as[1] if self.sent_as else self.stored.sop_instance_uid

    @property
    def since(self) -> datetime:
        """From when its age counts: sending it again makes it no younger."""
        return self.first_stored_at or self.planned_at
