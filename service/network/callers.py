"""Decides who may have an association, and how many."""

import ipaddress
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from service.network.association_request import AssociationRequest, Refused
from service.network.bounded_association import BoundedAssociation

GIVES_WAY_AFTER_S = 60.0
"""An association that has been idle for so long gives its place to whoever finds none."""

_IPV6_HOST = 64
"""Bits of an IPv6 address that count: whoever has one chooses the others."""


@dataclass(frozen=True, slots=True)
class _Held:
    place: str
    association: BoundedAssociation


class Callers:
    """Asked by the door, one at a time; the rest by anybody.

    allowed: calling AE titles, empty for all. called: the AE title that a caller has to know; "": any.
    most: associations at once. most_each: of one address.
    """

    def __init__(self, allowed: Sequence[str], called: str, most: int, most_each: int) -> None:
        self._allowed = frozenset(one.strip() for one in allowed)
        self._called = called.strip()
        self._most = most
        self._most_each = most_each
        self._held: list[_Held] = []
        self._changing = Lock()

    def refused(self, host: str, request: AssociationRequest) -> tuple[Refused, str] | None:
        """Returns why a request is refused, also in words; None where it is not. An idle association may end for it."""
        if self._allowed and request.calling_ae not in self._allowed:
            return Refused.CALLING_AE, "this calling AE title is not allowed"
        if self._called and request.called_ae != self._called:
            return Refused.CALLED_AE, "another AE title was called"
        held = self._living()
        own = [one for one in held if one.place == place_of(host)]
        if len(own) >= self._most_each:
            return None if _gives_way(own) else (Refused.LIMIT, f"its address has {self._most_each} associations")
        if len(held) >= self._most and not _gives_way(held):
            return Refused.LIMIT, f"all {self._most} associations are taken"
        return None

    def admitted(self, host: str, association: BoundedAssociation) -> None:
        """It holds a place until it is over."""
        with self._changing:
            self._held.append(_Held(place_of(host), association))

    @property
    def busy(self) -> str:
        """Says what is wrong where nobody else would be let in; "" otherwise."""
        return f"all {self._most} associations are taken" if len(self._living()) >= self._most else ""

    @property
    def any(self) -> bool:
        """Whether there is an association."""
        return bool(self._living())

    def end(self) -> None:
        """End all associations."""
        for one in self._living():
            one.association.end()

    def _living(self) -> list[_Held]:
        with self._changing:
            self._held = [one for one in self._held if not one.association.is_over]
            return self._held


def place_of(host: str) -> str:
    """What counts as one address: of IPv6 the network that a host makes up addresses in."""
    address = ipaddress.ip_address(host.split("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return host
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _IPV6_HOST), strict=False))


def _gives_way(held: Sequence[_Held]) -> bool:
    """Whether one of them ended, since it has been of no use for long. Each does so once."""
    idle = [(since_s, one) for one in held if (since_s := one.association.idle_since_s) is not None]
    since_s, first = min(idle, key=lambda each: each[0], default=(math.inf, None))
    if first is None or time.monotonic() - since_s < GIVES_WAY_AFTER_S:
        return False
    first.association.end()
    return True
