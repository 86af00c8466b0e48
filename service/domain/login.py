"""Who asks, and what they may do: roles, and the ways in which somebody is known.

A role is what a person or a machine is there for. A review is a radiologist's word: neither an operator nor an
administrator gives it, unless they are a reviewer too.
"""

import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Role(StrEnum):
    """What somebody is there for."""

    VIEWER = "viewer"
    REVIEWER = "reviewer"
    OPERATOR = "operator"
    ADMIN = "admin"


ROLE_MEANINGS: Mapping[Role, str] = {
    Role.VIEWER: "sees jobs, results, models",
    Role.REVIEWER: "accepts and corrects results; sees what a viewer sees",
    Role.OPERATOR: "retries, cancels, resends, reanalyses jobs; sees what a viewer sees",
    Role.ADMIN: "changes models, reads the audit trail; may do what an operator may",
}

_INCLUDES: Mapping[Role, frozenset[Role]] = {
    Role.VIEWER: frozenset({Role.VIEWER}),
    Role.REVIEWER: frozenset({Role.VIEWER, Role.REVIEWER}),
    Role.OPERATOR: frozenset({Role.VIEWER, Role.OPERATOR}),
    Role.ADMIN: frozenset({Role.VIEWER, Role.OPERATOR, Role.ADMIN}),
}


class Means(StrEnum):
    """How somebody is known. It stands behind the name in the audit trail."""

    ACCOUNT = "local account"
    OPENID = "OpenID"
    TOKEN = "token"
    PROXY = "proxy"
    CERTIFICATE = "certificate"
    LOOPBACK = "loopback"


LOG_IN, LOG_OUT, API = "log in", "log out", "api"
"""What and of what, of a login in the audit trail."""

ACCOUNT_SUBJECT, TOKEN_SUBJECT = "user ", "token "
"""What the subject of a change in the audit trail begins with, where it is an account or an API token."""

LONGEST_NAME = 128
"""Characters of a name; a longer one is refused, since a part of a name is another name."""


@dataclass(frozen=True, slots=True)
class Person:
    """A person or a machine that is known. roles: as they were given, without those that they include."""

    name: str
    means: Means
    roles: frozenset[Role]

    def may(self, role: Role) -> bool:
        """Return whether one of the roles is, or includes, this one."""
        return any(role in _INCLUDES[own] for own in self.roles)

    @property
    def label(self) -> str:
        """The name for audit trail and journal, such as "ada (local account)"."""
        return f"{self.name} ({self.means})"


ANYBODY_HERE = Person("unauthenticated", Means.LOOPBACK, frozenset(Role))
"""Whoever asks an API without a login, which listens on loopback only."""


def is_name(text: str) -> bool:
    """Return whether a provider or a proxy may name somebody so: printable, not empty, without spaces at the ends."""
    return bool(text) and len(text) <= LONGEST_NAME and text.isprintable() and text.strip() == text


def composed(text: str) -> str:
    """Return the text in the composed form of Unicode (NFC), so that one name has one spelling."""
    return unicodedata.normalize("NFC", text)


def roles_of(groups: Iterable[str], known: Mapping[str, Role]) -> frozenset[Role]:
    """Return the roles of somebody's groups; groups that are not known give none."""
    return frozenset(known[group] for group in groups if group in known)


@dataclass(frozen=True, slots=True)
class Flow:
    """A login under way at an OpenID provider.

    state: goes to the provider and comes back. nonce: stands in the ID token. verifier: of PKCE (RFC 7636).
    """

    state: str
    nonce: str
    verifier: str


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """idle: a session ends when nothing was asked for so long; longest: it ends then, whatever is asked."""

    idle: timedelta
    longest: timedelta

    def over(self, begun: datetime, seen: datetime, now: datetime) -> bool:
        """Return whether a session has ended. begun, seen, now: aware; seen: when something was last asked."""
        return now >= begun + self.longest or now >= seen + self.idle or now < begun


@dataclass(frozen=True, slots=True)
class AttemptLimits:
    """Failed logins within `window` before further ones are not even tried: of one name, and of one address."""

    window: timedelta = timedelta(minutes=15)
    of_name: int = 10
    of_address: int = 60

    def refuses(self, of_name: Collection[datetime], of_address: Collection[datetime]) -> bool:
        """Return whether these failures, all within the window, are as many as are taken."""
        return len(of_name) >= self.of_name or len(of_address) >= self.of_address
