"""Finds out who asks: by a token, a session, a client certificate, a trusted proxy, or because nobody else can ask.

What a caller could type himself is never believed: a proxy's headers count only from the proxy's addresses, and a
certificate only as TLS has checked it. A bearer token decides alone: one that is no use is refused, whatever else the
request brings. An `Authorization` header of another kind is the proxy's affair, and means nothing here.
"""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import HTTPConnection

from service.domain.login import ANYBODY_HERE, Means, Person, Role
from service.ops.peers import ip_of
from service.ops.trusted_proxy import TrustedProxy
from service.store.secrets import csrf_of

log = logging.getLogger(__name__)

COOKIE = "__Host-thoracle-session"
"""A browser takes a cookie of this prefix only from us, by TLS or on its own machine, and for no other host."""

NOBODY = "log in, or send an API token in the header Authorization"
NOT_HERE = "no login is configured: only a program on this machine itself is answered (docs/how-to/log-in.md)"
FORWARDED = (
    "no login is configured, and a proxy has passed this request on: others than this machine could ask by it. "
    "Configure a login (docs/how-to/log-in.md)"
)

_BEARER = "bearer"
_OF_PROXIES = ("forwarded", "x-real-ip", "via")
_OF_PROXIES_BEGIN = "x-forwarded-"

_CERTIFICATE_NAMES = "certificate_names"


class SessionStore(Protocol):
    """Sessions, as `store.sessions` has them."""

    def find(self, secret: str) -> Person | None: ...


class TokenStore(Protocol):
    """API tokens, as `store.api_tokens` has them."""

    def find(self, token: str, address: str) -> Person | None: ...


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks. csrf: what a change must bring along in the header X-CSRF-Token; None: a browser does not log in so."""

    person: Person
    csrf: str | None = None


@dataclass(frozen=True, slots=True)
class Authentication:
    """The ways in which somebody may be known; those that are None, empty or false are not configured.

    means: of sessions that still count. loopback: nobody logs in, and whoever asks from this machine itself, not by a
    proxy, may do everything. The one without anything lets in nobody.
    """

    sessions: SessionStore | None = None
    tokens: TokenStore | None = None
    means: Collection[Means] = ()
    proxy: TrustedProxy | None = None
    certificates: Mapping[str, Role] = field(default_factory=dict)
    loopback: bool = False

    def identify(self, request: HTTPConnection) -> Identity | None:
        """Return who asks; None for nobody that is known. SQLAlchemyError if the database fails."""
        if any(_is_bearer(one) for one in request.headers.getlist("authorization")):
            return self._by_token(request)
        if (found := self._by_session(request)) is not None:
            return found
        person = self._by_certificate(request) or self._by_proxy(request)
        if person is None and self.loopback and not _why_not_here(request):
            person = ANYBODY_HERE
        return None if person is None else Identity(person)

    def why_unknown(self, request: HTTPConnection) -> str:
        """Return, in words, why nobody is known by a request."""
        return (self.loopback and _why_not_here(request)) or NOBODY

    def _by_token(self, request: HTTPConnection) -> Identity | None:
        several = request.headers.getlist("authorization")
        if self.tokens is None or len(several) > 1:
            return None
        address, token = address_of(request), several[0].strip()[len(_BEARER) :]
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


def _is_bearer(header: str) -> bool:
    return [one.lower() for one in header.split()[:1]] == [_BEARER]


def _why_not_here(request: HTTPConnection) -> str:
    """Return why a request is not known to be of this machine, in words; "" where it is."""
    if any(name in _OF_PROXIES or name.startswith(_OF_PROXIES_BEGIN) for name in request.headers):
        return FORWARDED
    found = ip_of(address_of(request))
    return "" if found is not None and found.is_loopback else NOT_HERE


def address_of(request: HTTPConnection) -> str:
    """Return the address of the connection, whatever a header says; "" where there is none."""
    return request.client.host if request.client else ""


def with_certificate(names: Collection[str]) -> dict[str, frozenset[str]]:
    """Return what a connection adds to the state of its requests. names: of the certificate that TLS has checked."""
    return {_CERTIFICATE_NAMES: frozenset(names)}
