"""Decides who may have an association, for what, and how many.

An AE title proves nothing: a caller is the title, the address it calls from and, where TLS asks for it, a certificate.
"""

import ipaddress
import math
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from service.domain.ae_title import entry_of
from service.network.association_request import AssociationRequest, Refused
from service.network.bounded_association import BoundedAssociation
from service.network.rights import EVERYTHING, Right

GIVES_WAY_AFTER_S = 60.0
"""An association that has been idle for so long gives its place to whoever finds none."""

_IPV6_HOST = 64
"""Bits of an IPv6 address that count: whoever has one chooses the others."""


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


ANYWHERE: tuple[Network, ...] = (ipaddress.ip_network("0.0.0.0/0"), ipaddress.ip_network("::/0"))


@dataclass(frozen=True, slots=True)
class Caller:
    """A sender that calls from one of these networks.

    certificates: its certificate must have one of these names; empty: any will do.
    """

    networks: Sequence[Network]
    certificates: Collection[str] = ()
    may: frozenset[Right] = EVERYTHING


@dataclass(frozen=True, slots=True)
class Asking:
    """A request for an association. host: address it comes from; names: of the certificate that was shown."""

    host: str
    request: AssociationRequest
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class _Held:
    place: str
    association: BoundedAssociation


class Callers:
    """Asked by the door, one at a time; the rest by anybody.

    known: by calling AE title, in which * and ? may stand for others (the entry of its very name goes first); None:
    everybody may do everything. called: the AE title that a caller has to know; "": any. most: associations at once.
    most_each: of one address.
    """

    def __init__(self, known: Mapping[str, Caller] | None, called: str, most: int, most_each: int) -> None:
        self._known = None if known is None else {name.strip(): caller for name, caller in known.items()}
        self._called = called.strip()
        self._most = most
        self._most_each = most_each
        self._held: list[_Held] = []
        self._changing = Lock()

    def may(self, asking: Asking) -> frozenset[Right]:
        """What this caller may do; nothing: it is not to be let in."""
        known = self._entry(asking.request.calling_ae)
        if known is None or _stranger(known, asking):
            return frozenset()
        return known.may

    def refused(self, asking: Asking) -> tuple[Refused, str] | None:
        """Returns why a request is refused, also in words; None where it is not. An idle association may end for it."""
        known = self._entry(asking.request.calling_ae)
        if known is None:
            return Refused.CALLING_AE, "no entry of `receiver.callers` has this calling AE title"
        if wrong := _stranger(known, asking):
            return Refused.CALLING_AE, wrong
        if self._called and asking.request.called_ae != self._called:
            return Refused.CALLED_AE, "another AE title was called"
        held = self._living()
        own = [one for one in held if one.place == place_of(asking.host)]
        if len(own) >= self._most_each:
            return None if _gives_way(own) else (Refused.LIMIT, f"its address has {self._most_each} associations")
        if len(held) >= self._most and not _gives_way(held):
            return Refused.LIMIT, f"all {self._most} associations are taken"
        return None

    def _entry(self, calling_ae: str) -> Caller | None:
        if self._known is None:
            return _ANYBODY
        return entry_of(calling_ae, self._known)

    def admitted(self, host: str, association: BoundedAssociation) -> None:
        """It holds a place until it is over."""
        with self._changing:
            self._held.append(_Held(place_of(host), association))

    @property
    def busy(self) -> str:
        """Says what is wrong where nobody else would be let in; "" otherwise."""
        return f"all {self._most} associations are taken" if len(self._living()) >= self._most else ""

    def filled(self) -> float:
        """How many places are taken, 0 to 1; 1 also where an address has all of its own, and would be refused."""
        held = self._living()
        most_of_one = max(Counter(one.place for one in held).values(), default=0)
        return 1.0 if most_of_one >= self._most_each else len(held) / self._most

    def held(self) -> int:
        """Associations."""
        return len(self._living())

    def end(self) -> None:
        """End all associations."""
        for one in self._living():
            one.association.end()

    def _living(self) -> list[_Held]:
        with self._changing:
            self._held = [one for one in self._held if not one.association.is_over]
            return self._held


_ANYBODY = Caller(ANYWHERE)


def _stranger(known: Caller, asking: Asking) -> str:
    """What is wrong with somebody who calls by this title; "": nothing."""
    address = _address(asking.host)
    if not any(address in network for network in known.networks):
        return "`addresses` of its entry in `receiver.callers` has not the one it calls from"
    if known.certificates and not asking.names & frozenset(known.certificates):
        shown = ", ".join(sorted(asking.names)) or "nobody"
        return f"`certificates` of its entry in `receiver.callers` has not its certificate's name ({shown})"
    return ""


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """The one that people write: an IPv4 address that came by IPv6 is one of IPv4."""
    address = ipaddress.ip_address(host.split("%")[0])
    return getattr(address, "ipv4_mapped", None) or address


def place_of(host: str) -> str:
    """What counts as one address: of IPv6 the network that a host makes up addresses in."""
    address = _address(host)
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(ipaddress.ip_network((address, _IPV6_HOST), strict=False))


def _gives_way(held: Sequence[_Held]) -> bool:
    """Whether one of them ended, since it has been of no use for long. Each does so once."""
    idle = [(since_s, one) for one in held if (since_s := one.association.idle_since_s) is not None]
    since_s, first = min(idle, key=lambda each: each[0], default=(math.inf, None))
    if first is None or time.monotonic() - since_s < GIVES_WAY_AFTER_S:
        return False
    first.association.end()
    return True
