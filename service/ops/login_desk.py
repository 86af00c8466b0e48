"""Logs people in and out: by a local account or an OpenID provider.

Each login, logout and failure is in the audit trail. A failure tells the caller nothing that they did
not know: not whether there is such an account.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from service.domain.login import API, LOG_IN, LOG_OUT, Flow, Means, Person, Role, is_name, roles_of
from service.errors import Permanent, ThoracleError, Transient
from service.ops.peers import peer_of

log = logging.getLogger(__name__)

DONE, DENIED = "done", "refused"

_NOBODY = "unknown name"
_WRONG = "The name or the password is wrong."


class LoginFailed(ThoracleError):
    """Somebody was not let in; in words for them. wait_s: when to try again, 0: at once."""

    def __init__(self, words: str, wait_s: float = 0.0) -> None:
        super().__init__(words)
        self.wait_s = wait_s


class Accounts(Protocol):
    """Local accounts, as `store.users` has them."""

    def check(self, name: str, password: str) -> tuple[Person, str] | None: ...

    def exists(self, name: str) -> bool: ...


class Sessions(Protocol):
    """Sessions, as `store.sessions` has them."""

    def begin(self, person: Person, before: str | None = None, basis: str = "") -> str: ...

    def find(self, secret: str) -> Person | None: ...

    def end(self, secret: str) -> None: ...


class Attempts(Protocol):
    """Failed logins, as `store.login_attempts` has them."""

    def begin(self, name: str, address: str) -> float: ...

    def withdraw(self, name: str, address: str) -> None: ...

    def succeeded(self, name: str) -> None: ...


class Flows(Protocol):
    """Logins under way, as `store.login_flows` has them."""

    def keep(self, flow: Flow) -> None: ...

    def take(self, state: str) -> Flow | None: ...


class LoggedIn(Protocol):
    """Who an OpenID provider says that it is."""

    @property
    def name(self) -> str: ...

    @property
    def subject(self) -> str: ...

    @property
    def groups(self) -> tuple[str, ...]: ...


class OpenId(Protocol):
    """An OpenID provider, as `network.openid` asks it."""

    def begin(self) -> tuple[str, Flow]: ...

    def finish(self, code: str, flow: Flow) -> LoggedIn: ...


class Trail(Protocol):
    """The audit trail."""

    def note(self, who: str, what: str, subject: str, outcome: str, **detail: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class OpenIdLogin:
    """A provider, and the roles of the groups that it knows."""

    provider: OpenId
    flows: Flows
    roles: Mapping[str, Role]


@dataclass(frozen=True, slots=True)
class LoginDesk:
    """accounts, openid: None where nobody logs in so."""

    sessions: Sessions
    attempts: Attempts
    trail: Trail
    accounts: Accounts | None = None
    openid: OpenIdLogin | None = None

    def by_password(self, name: str, password: str, address: str, before: str | None) -> str:
        """Return the secret of a new session; LoginFailed. before: secret of a session that the browser had."""
        if self.accounts is None:
            raise LoginFailed("Nobody logs in by a password here.")
        if not is_name(name):
            raise LoginFailed(_WRONG)
        if wait_s := self.attempts.begin(name, peer_of(address)):
            log.warning("too many logins from %s have failed, or of one account: one more was refused", address)
            raise LoginFailed("Too many logins have failed. Try again later.", wait_s)
        try:
            found = self.accounts.check(name, password)
        except Transient as error:
            self.attempts.withdraw(name, peer_of(address))
            raise LoginFailed(str(error), 1.0) from error
        if found is None:
            known = name if self.accounts.exists(name) else _NOBODY
            self._refuse(f"{known} ({Means.ACCOUNT})", address, "wrong name or password")
            raise LoginFailed(_WRONG)
        self.attempts.succeeded(name)
        person, basis = found
        self._note_login(person, address)
        return self.sessions.begin(person, before, basis)

    def begin_openid(self) -> tuple[str, str]:
        """Return the address to which the browser goes, and the state that it must bring back; LoginFailed."""
        if self.openid is None:
            raise LoginFailed("Nobody logs in by OpenID here.")
        try:
            url, flow = self.openid.provider.begin()
            self.openid.flows.keep(flow)
        except (Transient, Permanent) as error:
            log.error("nobody can log in by OpenID: %s", error)
            raise LoginFailed("The login of the hospital does not answer. Try again later.", 10.0) from error
        return url, flow.state

    def finish_openid(self, state: str, code: str, address: str, before: str | None) -> str:
        """Return the secret of a new session; LoginFailed. state: the browser's own and the provider's, which agree."""
        ours = self.openid
        if ours is None or (flow := ours.flows.take(state)) is None:
            raise LoginFailed("This login is not under way any more. Begin again.")
        try:
            found = ours.provider.finish(code, flow)
        except (Transient, Permanent) as error:
            log.error("a login by OpenID was refused: %s", error)
            self._refuse(f"{_NOBODY} ({Means.OPENID})", address, str(error))
            raise LoginFailed("The login of the hospital gave no answer that can be used.") from error
        person = Person(found.name, Means.OPENID, roles_of(found.groups, ours.roles))
        if not person.roles:
            self._refuse(person.label, address, "none of the groups has a role here", found.subject)
            raise LoginFailed("You have no role here. Ask for a group that has one.")
        self._note_login(person, address, found.subject)
        return self.sessions.begin(person, before)

    def log_out(self, secret: str, address: str) -> None:
        """End a session, if there is one."""
        person = self.sessions.find(secret)
        self.sessions.end(secret)
        if person is not None:
            self.trail.note(person.label, LOG_OUT, API, DONE, address=address)

    def _note_login(self, person: Person, address: str, subject: str | None = None) -> None:
        roles = ", ".join(sorted(person.roles))
        more = {} if subject is None else {"subject_at_provider": subject}
        self.trail.note(person.label, LOG_IN, API, DONE, address=address, roles=roles, **more)

    def _refuse(self, who: str, address: str, why: str, subject: str | None = None) -> None:
        more = {} if subject is None else {"subject_at_provider": subject}
        self.trail.note(who, LOG_IN, API, DENIED, address=address, why=why, **more)
