"""The audit trail: who wanted to change what, when, and what came of it.

An entry is written before the change and completed after it: one that stays `begun` tells of a change that a kill cut
short. Details hold versions, digests and reasons, never patient data. No text and no list of an entry is longer than
`LONGEST_TEXT` and `MOST_VALUES`; what was cut ends with an ellipsis.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

import sqlalchemy as sa

from service.errors import ThoracleError
from service.store.tables import audit

BEGUN, DONE, DENIED, FAILED = "begun", "done", "refused", "failed"
"""Outcomes of an entry. DENIED: the change cannot be made, and nothing was changed."""

LONGEST_TEXT = 500
MOST_VALUES = 100


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
        row = self._row(who, what, subject, BEGUN, detail)
        with self._engine.begin() as connection:
            entry = sa.insert(audit).values(row).returning(audit.c.id)
            number = connection.execute(entry).scalar_one()
        with ExitStack() as stack:
            stack.push(lambda _kind, error, _where: self._complete(number, detail, error))
            yield detail

    def note(self, who: str, what: str, subject: str, outcome: str, **detail: Any) -> None:
        """One entry for what has just happened."""
        with self._engine.begin() as connection:
            connection.execute(sa.insert(audit).values(self._row(who, what, subject, outcome, detail)))

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

    def _row(self, who: str, what: str, subject: str, outcome: str, detail: Mapping[str, Any]) -> dict[str, Any]:
        texts = {"who": who, "what": what, "subject": subject, "detail": detail}
        return {"at": self._clock(), "outcome": outcome, **{name: _bounded(value) for name, value in texts.items()}}

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
            values = {"outcome": outcome, "detail": _bounded(detail)}
            connection.execute(sa.update(audit).where(audit.c.id == number).values(values))


def _bounded(value: Any) -> Any:
    """The same value without long texts, long lists, and characters that cannot be stored."""
    if isinstance(value, str):
        text = value.encode(errors="replace").decode()
        return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
    if isinstance(value, Mapping):
        return {_bounded(str(name)): _bounded(one) for name, one in islice(value.items(), MOST_VALUES)}
    if isinstance(value, list | tuple):
        return [*map(_bounded, value[:MOST_VALUES]), *(["…"] if len(value) > MOST_VALUES else [])]
    return value
