"""API tokens of machines: shown once, kept as digests; each ends, may be revoked, and tells of its last use."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from service.domain.login import Means, Person, Role
from service.errors import Permanent
from service.store.secrets import digest_of_secret, new_secret
from service.store.tables import api_tokens
from service.store.users import roles_in

PREFIX = "thoracle_"
"""Every token begins so: programs that look for secrets in files know it by that."""

_USED_EVERY = timedelta(minutes=1)


class ApiTokens:
    """The table of tokens. Every method may be called from any thread and process."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock

    def add(self, name: str, roles: Collection[Role], lasts: timedelta, by: str) -> str:
        """Make a token and return it, the only time. Permanent if there was one of that name, even a revoked one."""
        token, now = f"{PREFIX}{new_secret()}", self._clock()
        row = {"name": name, "digest": digest_of_secret(token), "roles": sorted(roles), "made_by": by}
        try:
            with self._engine.begin() as connection:
                connection.execute(sa.insert(api_tokens).values(**row, made_at=now, ends_at=now + lasts))
        except sa.exc.IntegrityError as error:
            raise Permanent(f"there is or was a token {name}, which the audit trail may name: take another") from error
        return token

    def revoke(self, name: str) -> None:
        """Refuse a token from now on. Permanent if there is none that works."""
        this = (api_tokens.c.name == name) & api_tokens.c.revoked_at.is_(None)
        with self._engine.begin() as connection:
            done = connection.execute(sa.update(api_tokens).where(this).values(revoked_at=self._clock()))
        if done.rowcount == 0:
            raise Permanent(f"there is no token {name}, or it is revoked already")

    def all(self) -> list[Mapping[str, Any]]:
        """All tokens by name, the revoked ones too, without their digests."""
        shown = [column for column in api_tokens.c if column.name != "digest"]
        with self._engine.begin() as connection:
            return [dict(row) for row in connection.execute(sa.select(*shown).order_by(api_tokens.c.name)).mappings()]

    def working(self) -> int:
        """Return how many tokens are neither revoked nor over."""
        works = api_tokens.c.revoked_at.is_(None) & (api_tokens.c.ends_at > self._clock())
        with self._engine.begin() as connection:
            return connection.scalar(sa.select(sa.func.count()).select_from(api_tokens).where(works)) or 0

    def find(self, token: str, address: str) -> Person | None:
        """Return whose token it is; None if it is unknown, revoked or over. address: of whoever shows it."""
        now = self._clock()
        with self._engine.begin() as connection:
            this = api_tokens.c.digest == digest_of_secret(token)
            row = connection.execute(sa.select(api_tokens).where(this)).one_or_none()
            if row is None or row.revoked_at is not None or not row.made_at <= now < row.ends_at:
                return None
            if row.used_at is None or now - row.used_at >= _USED_EVERY:
                connection.execute(sa.update(api_tokens).where(this).values(used_at=now, used_from=address))
        return Person(row.name, Means.TOKEN, roles_in(row.roles))
