"""Logins that are under way at an OpenID provider. Each can be finished once, within ten minutes.

The state is a secret between the browser and us; the database has its digest.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

import sqlalchemy as sa

from service.domain.login import Flow
from service.store.secrets import digest_of_secret
from service.store.tables import login_flows

LASTS = timedelta(minutes=10)
MOST = 5000
"""Under way at once: whoever begins logins without end must not fill the disk."""


class LoginFlows:
    """The table of logins under way. Every method may be called from any thread and process."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock

    def keep(self, flow: Flow) -> None:
        """Keep a login that begins. Where there are too many, the oldest is forgotten: nobody keeps the others out."""
        now = self._clock()
        row = {"digest": digest_of_secret(flow.state), "nonce": flow.nonce, "verifier": flow.verifier}
        with self._engine.begin() as connection:
            connection.execute(sa.delete(login_flows).where(login_flows.c.begun_at <= now - LASTS))
            newest = sa.select(login_flows.c.digest).order_by(login_flows.c.begun_at.desc()).limit(MOST - 1)
            if (connection.scalar(sa.select(sa.func.count()).select_from(login_flows)) or 0) >= MOST:
                connection.execute(sa.delete(login_flows).where(login_flows.c.digest.not_in(newest)))
            connection.execute(sa.insert(login_flows).values(**row, begun_at=now))

    def take(self, state: str) -> Flow | None:
        """Return a login and forget it; None if it is not known, was finished, or has taken too long."""
        this = login_flows.c.digest == digest_of_secret(state)
        with self._engine.begin() as connection:
            row = connection.execute(sa.select(login_flows).where(this).with_for_update()).one_or_none()
            if row is None or connection.execute(sa.delete(login_flows).where(this)).rowcount == 0:
                return None
        return Flow(state, row.nonce, row.verifier) if self._clock() < row.begun_at + LASTS else None
