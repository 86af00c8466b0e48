"""The state of one result object at one destination: a table, as that of jobs (`domain.job_state`).

built → sent → stored → committed
  ↑      │       ├──────→ unconfirmed
  └──────┴───────┴──────→ refused

`sent` is in flight: no answer is known yet. Where the destination confirms nothing, `stored` is the end; without a
status the destination took it in words that we do not understand, and it is looked for before it counts.
`unconfirmed` was stored, and the destination then never answered for it, or was seen not to have it again and again.
`withheld` was not sent because what it refers to is not there. `refused` (REJECTED here: it is the destination that
does not take it), `unconfirmed` and `withheld` wait for an operator. `withdrawn` was stopped by an operator before it
was stored, belongs to a destination that is none any more, or was replaced by another style of the same.
"""

from collections.abc import Mapping
from enum import StrEnum

from service.domain.job_state import IllegalTransition


class Delivered(StrEnum):
    """Where one object stands at one destination."""

    BUILT = "built"
    SENT = "sent"
    STORED = "stored"
    COMMITTED = "committed"
    REJECTED = "refused"
    UNCONFIRMED = "unconfirmed"
    WITHHELD = "withheld"
    WITHDRAWN = "withdrawn"


class DeliveryEvent(StrEnum):
    """What happens to one object at one destination."""

    SEND = "send"
    STORE = "store"
    WAIT = "wait"
    REJECT = "reject"
    WITHHOLD = "withhold"
    COMMIT = "commit"
    MISS = "miss"
    GIVE_UP = "give up"
    WITHDRAW = "withdraw"
    BUILD_AGAIN = "build again"


TO_SEND = (Delivered.BUILT, Delivered.SENT)
"""States of an object that the destination is still to get."""

UNDER_WAY = (*TO_SEND, Delivered.STORED)
"""States of an object that may go on by itself."""

NOT_THERE = (Delivered.REJECTED, Delivered.UNCONFIRMED, Delivered.WITHHELD)
"""Ends that wait for an operator."""

_D, _E = Delivered, DeliveryEvent
DELIVERY_TRANSITIONS: Mapping[tuple[Delivered, DeliveryEvent], Delivered] = {
    (_D.BUILT, _E.SEND): _D.SENT,
    # The answer to an attempt; also where an operator wanted the object built again while it was in flight.
    (_D.SENT, _E.WAIT): _D.BUILT,
    (_D.BUILT, _E.WAIT): _D.BUILT,
    (_D.SENT, _E.REJECT): _D.REJECTED,
    (_D.BUILT, _E.REJECT): _D.REJECTED,
    (_D.BUILT, _E.WITHHOLD): _D.WITHHELD,
    (_D.SENT, _E.WITHHOLD): _D.WITHHELD,  # a kill left it in flight, and what it refers to is not there
    # What the destination says of an object that it stored, or what a query finds.
    (_D.STORED, _E.COMMIT): _D.COMMITTED,
    (_D.STORED, _E.MISS): _D.BUILT,
    (_D.STORED, _E.REJECT): _D.REJECTED,
    # The time for trying is over.
    (_D.BUILT, _E.GIVE_UP): _D.REJECTED,
    (_D.SENT, _E.GIVE_UP): _D.REJECTED,
    (_D.STORED, _E.GIVE_UP): _D.UNCONFIRMED,
    # An operator stops it, or another object goes in its place.
    **{(state, _E.WITHDRAW): _D.WITHDRAWN for state in (*UNDER_WAY, *NOT_THERE)},
    # What was stored counts, whatever was decided while it was in flight.
    **{(state, _E.STORE): _D.STORED for state in _D},
    # An operator wants it to be sent once more.
    **{(state, _E.BUILD_AGAIN): _D.BUILT for state in _D},
}


def advance_delivery(state: Delivered, event: DeliveryEvent) -> Delivered:
    """Returns the next state; IllegalTransition if the table has none."""
    try:
        return DELIVERY_TRANSITIONS[state, event]
    except KeyError:
        raise IllegalTransition(f"an object that is {state} at its destination cannot {event}") from None
