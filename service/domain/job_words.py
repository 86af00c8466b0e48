"""Plain words for states and steps as the database names them, for the command line and the HTTP API.

The tables keep their short names; people read these.
"""

from collections.abc import Mapping
from typing import Any

from service.domain.delivery import Confirm
from service.domain.delivery_state import Delivered
from service.domain.job_state import Event

_DELIVERY: Mapping[str, str] = {
    Delivered.BUILT: "waiting to be sent",
    Delivered.SENT: "sent, no answer yet",
    Delivered.STORED: "stored",
    Delivered.COMMITTED: "delivered and confirmed",
    Delivered.REJECTED: "not delivered",
    Delivered.WITHDRAWN: "withdrawn",
    Delivered.UNCONFIRMED: "stored, never confirmed",
    Delivered.WITHHELD: "not sent: what it refers to is not there",
}

_STEPS = {
    "receive": "received",
    "begin anew": "received again after a purge",
    "study complete": "study complete",
    Event.QUEUE: "queued",
    Event.START: "analysis started",
    Event.ANALYSE: "analysed",
    Event.REFUSE: "not analysed",
    Event.FAIL: "analysis failed",
    Event.RETRY: "to be analysed again",
    Event.DELIVER: "to be delivered",
    Event.COMPLETE: "everything delivered",
    Event.GIVE_UP: "delivery ended, not everything delivered",
    Event.SUPERSEDE: "superseded",
    Event.RESEND: "to be sent once more",
    Event.CANCEL: "cancelled",
    "choose again": "pipelines chosen again",
    "ask for commitment": "commitment requested",
    "send again": "to be sent again",
    "review": "reviewed",
    "purge": "purged",
}


def delivery_in_words(state: str, confirm: str = Confirm.NONE) -> str:
    """Returns where one object stands at one destination. confirm: what makes it delivered there (`Confirm`)."""
    if state == Delivered.STORED:
        return "delivered" if confirm == Confirm.NONE else "stored, not confirmed yet"
    return _DELIVERY.get(state, state)


def step_in_words(step: str) -> str:
    """Returns what an entry of the journal tells; a step that is not in the table stands for itself."""
    return _STEPS.get(step) or _DELIVERY.get(step, step)


def headline_value(headline: Mapping[str, Any] | None) -> str:
    """A job's headline (`Result.headline`) in a narrow column: "3/25 mild"; "" where there is none."""
    if headline is None or headline["value"] is None:
        return ""
    if headline["max"] is not None:
        return f"{headline['value']:g}/{headline['max']:g} {headline['category'] or ''}".rstrip()
    unit = "" if headline["unit"].startswith("{") or headline["unit"] == "1" else headline["unit"]
    return " ".join(filter(None, (f"{headline['value']:g}", unit, headline["category"])))


def headline_in_words(headline: Mapping[str, Any]) -> str:
    """A job's headline with its name and what it means."""
    value = headline_value(headline) or "no value"
    said = ", ".join(filter(None, (value, headline["words"])))
    return f"{headline['name']}: {said}" + (f"; {headline['remark']}" if headline["remark"] else "")
