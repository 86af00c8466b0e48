"""Local accounts: names, roles and passwords, hashed by Argon2id with the parameters of RFC 9106 (64 MiB, 3 passes)."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from pwdlib import PasswordHash
from pwdlib.exceptions import HasherNotAvailable, UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from service.domain.login import Means, Person, Role
from service.errors import Permanent, Transient
from service.store.secrets import digest_of_secret
from service.store.tables import sessions, users

LEAST_CHARACTERS, MOST_CHARACTERS = 12, 256
"""Of a password (NIST SP 800-63B: long ones, without rules for their letters)."""

_AT_ONCE = 2
"""Passwords that are hashed at once, each in 64 MiB."""

_MOST_WAIT = 8
"""Logins that wait for a place; one more is refused at once, so that they do not take all threads of the API."""

_LONGEST_WAIT_S = 5.0

_NOBODYS = "$argon2id$v=19$m=65536,t=3,p=4$dG8rKkNBPRuivnA/PlrLZw$YOMCx/k4ayTbxGlQt+4y5QUMcgXC5+KzYu5Hbn5lrGI"
"""Hash of a random password that nobody has kept: an unknown name takes as long as a known one."""


_BUSY = "too many log in at this moment; try again"


class NoSuchUser(Permanent):
    """There is no account of that name."""


class Users:
    """The table of accounts. Every method may be called from any thread."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock
        self._hasher = PasswordHash((Argon2Hasher(),))
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._here = threading.BoundedSemaphore(_AT_ONCE + _MOST_WAIT)

    def add(self, name: str, password: str, roles: Collection[Role]) -> None:
        """Make an account. Permanent if the password is no use, or if there is one of that name already."""
        row = {"name": name, "password": self._hash(password), "roles": _listed(roles), "made_at": self._clock()}
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(users).values(row))
        except sa.exc.IntegrityError as error:
            raise Permanent(f"there is an account {name} already") from error

    def remove(self, name: str) -> None:
        """Delete an account and end its sessions; NoSuchUser if there is none."""
        with self._engine.begin() as connection:
            _of_one(name, connection.execute(sa.delete(users).where(users.c.name == name)))
            _end_sessions(connection, name)

    def set_roles(self, name: str, roles: Collection[Role]) -> None:
        """Give an account other roles, at once in its sessions too; NoSuchUser if there is none."""
        self._update(name, {"roles": _listed(roles)})

    def set_password(self, name: str, password: str) -> None:
        """Give an account another password and end its sessions. NoSuchUser; Permanent if the password is no use."""
        hashed = self._hash(password)
        with self._engine.begin() as connection:
            this = sa.update(users).where(users.c.name == name).values(password=hashed)
            _of_one(name, connection.execute(this))
            _end_sessions(connection, name)

    def everybody(self) -> list[Mapping[str, Any]]:
        """All accounts by name, without their passwords."""
        shown = sa.select(users.c.name, users.c.roles, users.c.made_at, users.c.login_at).order_by(users.c.name)
        with self._engine.begin() as connection:
            return [dict(row) for row in connection.execute(shown).mappings()]

    def exists(self, name: str) -> bool:
        """Return whether there is an account of that name."""
        with self._engine.begin() as connection:
            return connection.scalar(sa.select(users.c.name).where(users.c.name == name)) is not None

    def check(self, name: str, password: str) -> tuple[Person, str] | None:
        """Return who has this name and password, and the basis of their session; None, after the same time, for nobody.

        An account that is changed or removed meanwhile has another password, or none. Transient where so many log in at
        once that the password is not looked at.
        """
        with self._engine.begin() as connection:
            row = connection.execute(sa.select(users).where(users.c.name == name)).one_or_none()
        if not self._verified(password, _NOBODYS if row is None else row.password) or row is None:
            return None
        this = sa.update(users).where((users.c.name == name) & (users.c.password == row.password))
        with self._engine.begin() as connection:
            if connection.execute(this.values(login_at=self._clock())).rowcount == 0:
                return None
        return Person(row.name, Means.ACCOUNT, roles_in(row.roles)), digest_of_secret(row.password)

    def _verified(self, password: str, hashed: str) -> bool:
        if len(password) > MOST_CHARACTERS:
            return False
        with self._place():
            try:
                return self._hasher.verify(password, hashed)
            except (UnknownHashError, HasherNotAvailable):
                return False

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Hold one of the places of those who hash; Transient where none becomes free."""
        if not self._here.acquire(blocking=False):
            raise Transient(_BUSY)
        try:
            if not self._places.acquire(timeout=_LONGEST_WAIT_S):
                raise Transient(_BUSY)
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._here.release()

    def _hash(self, password: str) -> str:
        if not LEAST_CHARACTERS <= len(password) <= MOST_CHARACTERS:
            raise Permanent(f"a password has {LEAST_CHARACTERS} to {MOST_CHARACTERS} characters")
        try:
            return self._hasher.hash(password)
        except UnicodeEncodeError as error:
            raise Permanent("a password is text; this one is none") from error

    def _update(self, name: str, values: Mapping[str, Any]) -> None:
        with self._engine.begin() as connection:
            _of_one(name, connection.execute(sa.update(users).where(users.c.name == name).values(**values)))


def roles_in(stored: Collection[str]) -> frozenset[Role]:
    """Return the roles of a row; one that this version does not know gives nothing."""
    return frozenset(role for role in Role if role.value in stored)


def _listed(roles: Collection[Role]) -> list[str]:
    return [role.value for role in Role if role in roles]


def _of_one(name: str, done: sa.CursorResult[Any]) -> None:
    if done.rowcount == 0:
        raise NoSuchUser(f"there is no account {name}")


def _end_sessions(connection: sa.Connection, name: str) -> None:
    own = (sessions.c.name == name) & (sessions.c.means == Means.ACCOUNT)
    connection.execute(sa.delete(sessions).where(own))
