"""The audit trail: who wanted to change what, when, and what came of it.

An entry is written before the change, and once more with its outcome after it: one that stays `begun` tells of a change
that a kill cut short. Rows are only added, each chained to the one before (`audit_chain`). Details hold versions,
digests and reasons, never patient data. No text and no list of an entry is longer than `LONGEST_TEXT` and
`MOST_VALUES`; what was cut ends with an ellipsis.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.errors import ThoracleError
from service.store.audit_chain import BEGUN as BEGUN
from service.store.audit_chain import NOTHING, PURGE, TRAIL, digest_of, purged
from service.store.tables import audit

DONE, DENIED, FAILED = "done", "refused", "failed"
"""Outcomes of an entry. DENIED: the change cannot be made, and nothing was changed."""

_FORGOTTEN_AT_ONCE = 1000
_A_DAY = timedelta(days=1)
_LOCK = 0x6175_6469_7420_6368  # "audit ch" in ASCII

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
            begun = _append(connection, row)
        with ExitStack() as stack:
            stack.push(lambda _kind, error, _where: self._complete(begun, detail, error))
            yield detail

    def note(self, who: str, what: str, subject: str, outcome: str, **detail: Any) -> None:
        """One entry for what has just happened."""
        with self._engine.begin() as connection:
            _append(connection, self._row(who, what, subject, outcome, detail))

    def forget(self, before: datetime, key: Ed25519PrivateKey) -> int:
        """Delete rows that are older, up to the first that is not, and note which, signed; how many there were.

        Some at a time, and none before there is a day's worth: each time adds a row. What a wrong clock dated into the
        future goes with those around it.
        """
        with self._engine.begin() as connection:
            lock_trail(connection)
            young = audit.c.at.between(before, self._clock())
            kept = connection.scalar(sa.select(sa.func.min(audit.c.id)).where(young))
            old = sa.select(audit.c.id, audit.c.digest, audit.c.at).order_by(audit.c.id).limit(_FORGOTTEN_AT_ONCE)
            rows = connection.execute(old if kept is None else old.where(audit.c.id < kept)).all()
            if not rows or rows[0].at > before - _A_DAY:
                return 0
            told = purged(key, rows[-1].id, rows[-1].digest)
            _append(connection, self._row("retention", PURGE, TRAIL, DONE, told))
            return connection.execute(sa.delete(audit).where(audit.c.id <= rows[-1].id)).rowcount

    def entries(
        self, subject: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> list[Mapping[str, Any]]:
        """Entries with their latest outcome, the latest entry first.

        subject: only of this one; since: aware; at or after. Who wanted what, of what and when, is told as it began.
        """
        began = sa.alias(audit)
        latest = sa.select(sa.func.max(audit.c.id)).group_by(audit.c.entry)
        told = [sa.func.coalesce(began.c[name], audit.c[name]).label(name) for name in ("at", "who", "what", "subject")]
        query = (
            sa.select(audit.c.id, audit.c.entry, *told, audit.c.outcome, audit.c.detail)
            .outerjoin(began, began.c.id == audit.c.entry)
            .where(audit.c.id.in_(latest))
            .order_by(audit.c.entry.desc())
            .limit(limit)
        )
        at, _, _, of = told
        if subject is not None:
            query = query.where(of.element == subject)
        if since is not None:
            query = query.where(at.element >= since)
        with self._engine.begin() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def last(self, what: str, subject: str, version: str) -> datetime | None:
        """Returns when this was last done to a version; None if never."""
        said = audit.c.what == what, audit.c.subject == subject, audit.c.outcome == DONE
        query = sa.select(audit.c.at, audit.c.detail).where(*said).order_by(audit.c.id.desc())
        with self._engine.begin() as connection:
            found = (at for at, detail in connection.execute(query) if detail.get("version") == version)
            return next(found, None)

    def _row(self, who: str, what: str, subject: str, outcome: str, detail: Mapping[str, Any]) -> dict[str, Any]:
        texts = {"who": who, "what": what, "subject": subject, "detail": detail}
        return {"at": self._clock(), "outcome": outcome, **{name: _bounded(value) for name, value in texts.items()}}

    def _complete(self, begun: Mapping[str, Any], detail: Mapping[str, Any], error: BaseException | None) -> None:
        """Note how the block of an entry ended; one that a signal cut short stays `begun`."""
        if error is None:
            self._end(begun, DONE, detail)
        elif isinstance(error, ThoracleError):
            self._end(begun, DENIED, {**detail, "why": str(error)})
        elif isinstance(error, Exception):
            self._end(begun, FAILED, {**detail, "why": type(error).__name__})

    def _end(self, begun: Mapping[str, Any], outcome: str, detail: Mapping[str, Any]) -> None:
        with self._engine.begin() as connection:
            ended = {"at": self._clock(), "outcome": outcome, "detail": _bounded(detail)}
            _append(connection, {**begun, **ended})


def _append(connection: sa.Connection, row: Mapping[str, Any]) -> dict[str, Any]:
    """Add a row to the end of the chain; the row as it is there. It completes the entry of `row["entry"]`, if any."""
    lock_trail(connection)
    end = connection.execute(sa.select(audit.c.id, audit.c.digest).order_by(audit.c.id.desc()).limit(1)).first()
    number, before = (end.id + 1, end.digest) if end else (1, NOTHING)
    chained = {"entry": number, **row, "id": number}
    chained["digest"] = digest_of(before, chained)
    connection.execute(sa.insert(audit).values(chained))
    return chained


def lock_trail(connection: sa.Connection) -> None:
    """Nobody else adds a row or a head before this transaction ends; on SQLite no two transactions overlap."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))


def _bounded(value: Any) -> Any:
    """The same value without long texts, long lists, and characters that cannot be stored."""
    if isinstance(value, str):
        text = value.encode(errors="replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
        return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"
    if isinstance(value, Mapping):
        return {_bounded(str(name)): _bounded(one) for name, one in islice(value.items(), MOST_VALUES)}
    if isinstance(value, list | tuple):
        return [*map(_bounded, value[:MOST_VALUES]), *(["…"] if len(value) > MOST_VALUES else [])]
    return value
