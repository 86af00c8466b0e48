"""A destination of results, and the functions that reach it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from service.domain.audit_event import Participant
from service.domain.commitment import Reference
from service.domain.delivery import Confirm
from service.domain.job import StoredObject
from service.domain.retry import RetryPolicy
from service.domain.routing import Rule
from service.evidence.context import STUDY
from service.network.commitment import Asked
from service.network.send import StoreOutcome

Send = Callable[[Sequence[Path]], Sequence[StoreOutcome]]
"""Sends stored files in one attempt, one outcome per file; never raises a network error."""

Ask = Callable[[str, Sequence[Reference]], Asked]
"""Asks for a commitment, given the Transaction UID; never raises a network error."""

Find = Callable[[str, Sequence[str]], frozenset[str] | None]
"""Which SOP Instance UIDs of a study are there; None if it cannot be asked."""


class DeliveryObserver(Protocol):
    """Counter of deliveries. Labels are outcomes and destinations, never patient data."""

    def delivery(self, destination: str, outcome: str) -> None: ...

    def delivered(self, latency_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Target:
    """One destination of results, and how it is reached. peer: who it is.

    kinds: of evidence. style: of the evidence that depends on one. fallback: the style that goes out where the
    destination does not take that one. answer_within_s: after that a commitment is asked for again, and what is not
    found is sent again.
    """

    peer: Participant
    send: Send
    policy: RetryPolicy
    kinds: frozenset[str]
    style: str
    confirm: Confirm = Confirm.NONE
    ask: Ask | None = None
    find: Find | None = None
    answer_within_s: float = 300.0
    rules: tuple[Rule, ...] = ()
    fallback: str | None = None


def with_one_root(objects: Sequence[StoredObject]) -> list[StoredObject]:
    """One study SR of several: that which refers to most, and to nothing that is not among the objects.

    Where each refers to something else, because the destination's settings changed since, that with the least of it.
    """
    own = {o.sop_instance_uid for o in objects}
    roots = [o for o in objects if o.kind == STUDY.kind]
    best = min(roots, key=lambda o: (len(set(o.refers_to) - own), -len(o.refers_to)), default=None)
    return [o for o in objects if o.kind != STUDY.kind or o is best]
