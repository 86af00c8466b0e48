"""Finds out who asks: by a token, a session, a client certificate, a trusted proxy, or because nobody else can ask.

What a caller could type himself is never believed: a proxy's headers count only from the proxy's addresses, and a
certificate only as TLS has checked it. An `Authorization` header decides alone: one that is no use is refused, whatever
else the request brings.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Protocol

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection

from service.domain.login import ANYBODY_HERE, Means, Person, Role, is_name, roles_of
from service.store.secrets import csrf_of

log = logging.getLogger(__name__)

COOKIE = "__Host-thoracle-session"
"""A browser takes a cookie of this prefix only from us, by TLS or on its own machine, and for no other host."""

_CERTIFICATE_NAMES = "certificate_names"


class SessionStore(Protocol):
    """Sessions, as `store.sessions` has them."""

    def find(self, secret: str) -> Person | None: ...


class TokenStore(Protocol):
    """API tokens, as `store.api_tokens` has them."""

    def find(self, token: str, address: str) -> Person | None: ...


@dataclass(frozen=True, slots=True)
class TrustedProxy:
    """A proxy that asks for the login. networks: its addresses; user, groups: names of its headers."""

    networks: Sequence[IPv4Network | IPv6Network]
    user: str
    groups: str
    roles: Mapping[str, Role]

    def person(self, address: str, headers: Headers) -> Person | None:
        """Return who the proxy says that it is; None if the connection is not the proxy's, or if nobody logged in.

        Several user headers in one request are refused: one of them came from behind the proxy.
        """
        if not self._is_from(address):
            return None
        named = headers.getlist(self.user)
        if len(named) != 1 or not is_name(named[0]):
            return None
        groups = (one.strip() for line in headers.getlist(self.groups) for one in line.split(","))
        return Person(named[0], Means.PROXY, roles_of(groups, self.roles))

    def _is_from(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        if isinstance(found, IPv6Address) and found.ipv4_mapped:
            found = found.ipv4_mapped
        return any(found in network for network in self.networks)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. csrf: what a change must bring along in the header X-CSRF-Token; None: a browser does not log in so."""

    person: Person
    csrf: str | None = None


@dataclass(frozen=True, slots=True)
class Authentication:
    """The ways in which somebody may be known; those that are None, empty or false are not configured.

    means: of sessions that still count. loopback: nobody logs in, since only this machine can ask. The one without
    anything lets in nobody.
    """

    sessions: SessionStore | None = None
    tokens: TokenStore | None = None
    means: Collection[Means] = ()
    proxy: TrustedProxy | None = None
    certificates: Mapping[str, Role] = field(default_factory=dict)
    loopback: bool = False

    def identify(self, request: HTTPConnection) -> Identity | None:
        """Return who asks; None for nobody that is known. SQLAlchemyError if the database fails."""
        if "authorization" in request.headers:
            return self._by_token(request)
        if (found := self._by_session(request)) is not None:
            return found
        person = self._by_certificate(request) or self._by_proxy(request)
        if person is None and self.loopback:
            person = ANYBODY_HERE
        return None if person is None else Identity(person)

    def _by_token(self, request: HTTPConnection) -> Identity | None:
        kind, _, token = request.headers["authorization"].partition(" ")
        if self.tokens is None or kind.lower() != "bearer" or len(request.headers.getlist("authorization")) > 1:
            return None
        address = address_of(request)
        person = self.tokens.find(token.strip(), address)
        if person is None:
            log.warning("an API token from %s is unknown, revoked or over", address)
        return None if person is None else Identity(person)

    def _by_session(self, request: HTTPConnection) -> Identity | None:
        secret = request.cookies.get(COOKIE)
        if self.sessions is None or not secret:
            return None
        person = self.sessions.find(secret)
        return None if person is None or person.means not in self.means else Identity(person, csrf_of(secret))

    def _by_certificate(self, request: HTTPConnection) -> Person | None:
        names = sorted(set(request.scope.get("state", {}).get(_CERTIFICATE_NAMES, ())) & self.certificates.keys())
        roles = frozenset(self.certificates[name] for name in names)
        return Person(names[0], Means.CERTIFICATE, roles) if names else None

    def _by_proxy(self, request: HTTPConnection) -> Person | None:
        return None if self.proxy is None else self.proxy.person(address_of(request), request.headers)


def address_of(request: HTTPConnection) -> str:
    """Return the address of the connection, whatever a header says; "" where there is none."""
    return request.client.host if request.client else ""


def with_certificate(names: Collection[str]) -> dict[str, frozenset[str]]:
    """Return what a connection adds to the state of its requests. names: of the certificate that TLS has checked."""
    return {_CERTIFICATE_NAMES: frozenset(names)}
