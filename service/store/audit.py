"""The audit trail: who wanted to change what, when, and what came of it.

An entry is written before the change and completed after it: one that stays `begun` tells of a change that a kill cut
short. Details hold versions, digests and reasons, never patient data.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.errors import ThoracleError
from service.store.tables import audit

BEGUN, DONE, DENIED, FAILED = "begun", "done", "refused", "failed"
"""Outcomes of an entry. DENIED: the change cannot be made, and nothing was changed."""


class Audit:
    """The table of the audit trail."""

    def __init__(self, engine: sa.Engine, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._clock = clock

    @contextmanager
    def entry(self, who: str, what: str, subject: str, **asked: Any) -> Iterator[dict[str, Any]]:
        """One entry for the change that the block makes; what it gives may be filled with more details.

        A ThoracleError that leaves the block is why it was refused. asked: details that are known before.
        """
        detail = {name: value for name, value in asked.items() if value is not None}
        row = {"at": self._clock(), "who": who, "what": what, "subject": subject}
        with self._engine.begin() as connection:
            entry = sa.insert(audit).values(row | {"outcome": BEGUN, "detail": detail}).returning(audit.c.id)
            number = connection.execute(entry).scalar_one()
        with ExitStack() as stack:
            stack.push(lambda _kind, error, _where: self._complete(number, detail, error))
            yield detail

    def note(self, who: str, what: str, subject: str, outcome: str, **detail: Any) -> None:
        """One entry for what has just happened."""
        row = {"at": self._clock(), "who": who, "what": what, "subject": subject}
        with self._engine.begin() as connection:
            connection.execute(sa.insert(audit).values(row | {"outcome": outcome, "detail": detail}))

    def entries(
        self, subject: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> list[Mapping[str, Any]]:
        """Entries, the latest first. subject: only of this one; since: aware; at or after."""
        query = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
        if subject is not None:
            query = query.where(audit.c.subject == subject)
        if since is not None:
            query = query.where(audit.c.at >= since)
        with self._engine.begin() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def last(self, what: str, subject: str, version: str) -> datetime | None:
        """Returns when this was last done to a version; None if never."""
        said = audit.c.what == what, audit.c.subject == subject, audit.c.outcome == DONE
        query = sa.select(audit.c.at).where(*said, audit.c.detail["version"].as_string() == version)
        with self._engine.begin() as connection:
            return connection.scalar(query.order_by(audit.c.id.desc()).limit(1))

    def _complete(self, number: int, detail: Mapping[str, Any], error: BaseException | None) -> None:
        """Note how the block of an entry ended; one that a signal cut short stays `begun`."""
        if error is None:
            self._end(number, DONE, detail)
        elif isinstance(error, ThoracleError):
            self._end(number, DENIED, {**detail, "why": str(error)})
        elif isinstance(error, Exception):
            self._end(number, FAILED, {**detail, "why": type(error).__name__})

    def _end(self, number: int, outcome: str, detail: Mapping[str, Any]) -> None:
        with self._engine.begin() as connection:
            values = {"outcome": outcome, "detail": dict(detail)}
            connection.execute(sa.update(audit).where(audit.c.id == number).values(values))
