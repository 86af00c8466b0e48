"""States of a job, and the table of transitions between them.

created → queued → running → analysed → delivering → delivered
                      ├─────→ refused         └────→ undelivered
                      └─────→ failed

`failed` and `undelivered` wait for an operator's retry, and an operator may cancel whatever has not ended. Until its
results are delivered, a newer job of the same study and pipeline supersedes a job: its results would be those of an
incomplete study, or an operator wanted it analysed again. A job that is delivered, refused, failed or cancelled keeps
its state then; the newer one names it in `supersedes`. A refused job stays refused while the notices that say why are
delivered.

The states of its result objects have a table of their own: `domain.delivery_state`.
"""

from collections.abc import Mapping
from enum import StrEnum

from service.errors import ThoracleError


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

NOT_BEGUN = (State.CREATED, State.QUEUED)
"""States of a job whose analysis has not begun."""

NOT_ANALYSED = (*NOT_BEGUN, State.RUNNING)
"""States of a job whose analysis has not ended."""

SENDING = (State.DELIVERING, State.REFUSED)
"""States of a job whose objects may be on their way."""

UNWANTED = (State.SUPERSEDED, State.CANCELLED)
"""States of a job whose results nobody wants any more."""

AT_REST = (State.ANALYSED, State.DELIVERED, State.REFUSED, *UNWANTED)
"""States of a job that waits for nobody; no destination wants anything of one that stays analysed."""


def is_possible(state: State, event: Event) -> bool:
    """Returns whether the event can happen to a job in this state."""
    return (state, event) in TRANSITIONS


def advance(state: State, event: Event) -> State:
    """Returns the next state; IllegalTransition if the table has none."""
    if not is_possible(state, event):
        raise IllegalTransition(f"a job that is {state} cannot {event}")
    return TRANSITIONS[state, event]
