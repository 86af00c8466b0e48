"""Logins that failed, for a while: who guesses passwords is refused before they are looked at.

All processes of an installation see the same ones. An attempt counts from its beginning until it succeeds, so that many
at once are no way around the limit.
"""

from collections.abc import Callable
from datetime import datetime

import sqlalchemy as sa

from service.domain.login import AttemptLimits
from service.store.secrets import digest_of_secret
from service.store.tables import login_attempts

_LOCK = 0x6C6F_6769_6E20_6174  # "login at" in ASCII


class LoginAttempts:
    """The table of attempts. Every method may be called from any thread and process."""

    def __init__(
        self, engine: sa.Engine, clock: Callable[[], datetime], limits: AttemptLimits = AttemptLimits()
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._limits = limits

    def begin(self, name: str, address: str) -> float:
        """Note an attempt and return 0.0; or, where there were too many, the seconds until another one is looked at."""
        now, digest = self._clock(), digest_of_secret(name)
        with self._engine.begin() as connection:
            _one_at_a_time(connection)
            connection.execute(sa.delete(login_attempts).where(login_attempts.c.at <= now - self._limits.window))
            by_name = _times(connection, login_attempts.c.name_digest == digest)
            by_address = _times(connection, login_attempts.c.address == address)
            if self._limits.refuses(by_name, by_address):
                full = [by_name] * (len(by_name) >= self._limits.of_name)
                full += [by_address] * (len(by_address) >= self._limits.of_address)
                free_at = max(min(times) for times in full) + self._limits.window
                return max(1.0, (free_at - now).total_seconds())
            row = {"at": now, "name_digest": digest, "address": address}
            connection.execute(sa.insert(login_attempts).values(row))
        return 0.0

    def withdraw(self, name: str, address: str) -> None:
        """Forget the last attempt of a name from an address: its password was not looked at."""
        own = (login_attempts.c.name_digest == digest_of_secret(name)) & (login_attempts.c.address == address)
        last = sa.select(sa.func.max(login_attempts.c.id)).where(own).scalar_subquery()
        with self._engine.begin() as connection:
            connection.execute(sa.delete(login_attempts).where(login_attempts.c.id == last))

    def succeeded(self, name: str) -> None:
        """Forget the attempts of a name: whoever has it has logged in."""
        with self._engine.begin() as connection:
            own = login_attempts.c.name_digest == digest_of_secret(name)
            connection.execute(sa.delete(login_attempts).where(own))


def _times(connection: sa.Connection, which: sa.ColumnElement[bool]) -> list[datetime]:
    return list(connection.scalars(sa.select(login_attempts.c.at).where(which)))


def _one_at_a_time(connection: sa.Connection) -> None:
    """Nobody else counts before this transaction ends; on SQLite no two transactions overlap."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
