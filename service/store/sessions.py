"""Sessions of those who have logged in: kept here, so that a logout and a revocation work at once, everywhere.

Each rests on what gave it its roles: the password of the account, or the configuration of OpenID. When that is
changed, the session counts no more. A browser has a secret; the database has its digest. Each login begins a new one,
whatever the browser had before.
"""

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from service.domain.login import Means, Person, SessionLimits
from service.store.secrets import digest_of_secret, new_secret
from service.store.tables import sessions, users
from service.store.users import roles_in

_SEEN_EVERY = timedelta(seconds=30)
"""A session's last use is written as often, at most: most requests write nothing."""


class Sessions:
    """The table of sessions. Every method may be called from any thread and process."""

    def __init__(
        self, engine: sa.Engine, limits: SessionLimits, clock: Callable[[], datetime], openid_basis: str = ""
    ) -> None:
        """openid_basis: digest of the configuration that gives people of OpenID their roles; "": there is none."""
        self._openid_basis = openid_basis
        self._engine = engine
        self._limits = limits
        self._clock = clock

    def begin(self, person: Person, before: str | None = None, basis: str = "") -> str:
        """Return the secret of a new session. before: of one that the browser had, which ends.

        basis: of a local account, as `Users.check` returned it: after another change of the password the session counts
        for nothing. Sessions that are over are deleted.
        """
        secret, now = new_secret(), self._clock()
        row: dict[str, Any] = {"digest": digest_of_secret(secret), "name": person.name, "means": person.means.value}
        row["roles"] = sorted(person.roles)
        row["basis"] = self._openid_basis if person.means == Means.OPENID else basis
        late = (sessions.c.begun_at <= now - self._limits.longest) | (sessions.c.seen_at <= now - self._limits.idle)
        with self._engine.begin() as connection:
            connection.execute(sa.delete(sessions).where(late))
            if before is not None:
                connection.execute(sa.delete(sessions).where(sessions.c.digest == digest_of_secret(before)))
            connection.execute(sa.insert(sessions).values(**row, begun_at=now, seen_at=now))
        return secret

    def find(self, secret: str) -> Person | None:
        """Return whose session it is; None if there is none, or if it is over. A local account has its roles of now."""
        digest, now = digest_of_secret(secret), self._clock()
        query = sa.select(sessions, users.c.roles.label("of_account"), users.c.password).outerjoin(
            users, (users.c.name == sessions.c.name) & (sessions.c.means == Means.ACCOUNT)
        )
        with self._engine.begin() as connection:
            row = connection.execute(query.where(sessions.c.digest == digest)).one_or_none()
            if row is None:
                return None
            if self._limits.over(row.begun_at, row.seen_at, now):
                connection.execute(sa.delete(sessions).where(sessions.c.digest == digest))
                return None
            if now - row.seen_at >= min(_SEEN_EVERY, self._limits.idle / 10):
                connection.execute(sa.update(sessions).where(sessions.c.digest == digest).values(seen_at=now))
        of_account = row.means == Means.ACCOUNT
        if row.basis != (digest_of_secret(row.password or "") if of_account else self._openid_basis):
            return None
        return Person(row.name, Means(row.means), roles_in(row.of_account if of_account else row.roles))

    def end(self, secret: str) -> None:
        """End a session; nothing happens where there is none."""
        with self._engine.begin() as connection:
            connection.execute(sa.delete(sessions).where(sessions.c.digest == digest_of_secret(secret)))

    def end_all(self, name: str, means: Collection[Means] = tuple(Means)) -> int:
        """End all sessions of a name; return how many there were."""
        own = (sessions.c.name == name) & sessions.c.means.in_([one.value for one in means])
        with self._engine.begin() as connection:
            return connection.execute(sa.delete(sessions).where(own)).rowcount

    def count(self) -> int:
        """Return how many sessions there are."""
        with self._engine.begin() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(sessions)) or 0
