"""One place that gets results, and how it is reached."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from service.domain.commitment import Reference
from service.domain.job import Confirm, StoredObject
from service.domain.retry import RetryPolicy
from service.domain.routing import Rule
from service.network.commitment import Asked
from service.network.send import StoreOutcome

Send = Callable[[Sequence[Path]], Sequence[StoreOutcome]]
"""Sends stored files in one attempt, one outcome per file; never raises a network error."""

Ask = Callable[[str, Sequence[Reference]], Asked]
"""Asks for a commitment, given the Transaction UID; never raises a network error."""

Find = Callable[[str, Sequence[str]], frozenset[str] | None]
"""Which SOP Instance UIDs of a study are there; None if it cannot be asked."""


class DeliveryObserver(Protocol):
    """Who counts deliveries. Labels are outcomes and destinations, never patient data."""

    def delivery(self, destination: str, outcome: str) -> None: ...

    def delivered(self, latency_s: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Destination:
    """One place that gets results.

    kinds: of evidence. style: of the evidence that depends on one. fallback: the style that goes out where the
    destination does not take that one. needs: kinds that are referred to, by the kind that refers to them.
    answer_within_s: after that a commitment is asked for again, and what is not found is sent again.
    """

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
    needs: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def wants(self, stored: StoredObject) -> bool:
        return stored.kind in self.kinds and stored.style in (None, self.style)

    def is_needed(self, stored: StoredObject) -> bool:
        """Whether another kind refers to it."""
        return any(stored.kind in kinds for kinds in self.needs.values())
