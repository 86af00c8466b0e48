"""Locks of processes on many hosts: PostgreSQL frees the advisory locks of a session the moment it breaks."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from zlib import crc32

import sqlalchemy as sa

from service.store.process_name import unique_name

log = logging.getLogger(__name__)

_PING_S = 1.0
# Less than the 11 s after which the server gives up a silent session (`engine`): we stop before others begin.
_STALE_AFTER_S = 8.0


class AdvisoryLocks:
    """Advisory locks of one PostgreSQL session, which is used for nothing else; for many hosts.

    When the session breaks, `held` is False for good, and the locks are taken again only so that others see us.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._ours: set[tuple[str, str]] = set()
        self._taken: set[tuple[str, str]] = set()
        self._session: sa.Connection | None = None
        self._one_at_a_time = threading.Lock()
        self._broken = False
        self._confirmed_at = 0.0
        self._keeper = threading.Thread(target=self._keep, name="locks", daemon=True)

    @property
    def held(self) -> bool:
        """A server that does not answer counts as a broken session: it may be another that we cannot reach."""
        fresh = self._session is None or time.monotonic() - self._confirmed_at < _STALE_AFTER_S
        return fresh and not self._broken

    def join(self, group: str) -> str:
        name = unique_name()
        with self._one_at_a_time:
            session = self._session or self._open()
            session.scalar(sa.select(sa.func.pg_advisory_lock(*_key(group, name))))
            self._ours.add((group, name))
            self._watch()
        return name

    def take(self, group: str, name: str) -> bool:
        """When the session breaks the lock is free, and is tried for again: another may have got it."""
        with self._one_at_a_time:
            session = self._session or self._open()
            if (group, name) not in self._taken and self._try(
                session, sa.func.pg_try_advisory_lock(*_key(group, name))
            ):
                self._taken.add((group, name))
            self._watch()
            return (group, name) in self._taken

    def leave(self, group: str, name: str) -> None:
        with self._one_at_a_time:
            self._ours.discard((group, name))
            if self._session is not None:
                self._try(self._session, sa.func.pg_advisory_unlock(*_key(group, name)))

    def members(self, group: str) -> int:
        query = sa.text(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND classid = CAST(:group AS oid)"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
        with self._engine.begin() as connection:
            return int(connection.scalar(query, {"group": _number(group)}) or 0)

    @contextmanager
    def inherit(self, group: str, name: str) -> Iterator[bool]:
        with self._engine.begin() as connection:
            yield bool(connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(*_key(group, name)))))

    def _watch(self) -> None:
        if not self._keeper.is_alive():
            self._keeper.start()

    def _keep(self) -> None:
        """Know within seconds that the session broke; then open another."""
        while True:
            time.sleep(_PING_S)
            with self._one_at_a_time:
                if self._session is not None:
                    self._try(self._session, sa.literal(1))
                else:
                    with suppress(sa.exc.SQLAlchemyError):  # tried again in a second
                        self._open()

    def _open(self) -> sa.Connection:
        asked_at = time.monotonic()
        session = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        session.detach()  # the pool must neither hand it to others nor count it
        for group, name in self._ours:
            session.scalar(sa.select(sa.func.pg_advisory_lock(*_key(group, name))))
        self._session, self._confirmed_at = session, asked_at
        return session

    def _try(self, session: sa.Connection, question: sa.ColumnElement[Any]) -> Any:
        """Returns the answer; None if the session broke."""
        asked_at = time.monotonic()
        try:
            answer = session.scalar(sa.select(question))
        except sa.exc.SQLAlchemyError as error:
            log.error("the database session that holds our locks broke: %s", type(error).__name__)
            self._broken, self._session = True, None
            self._taken.clear()
            session.invalidate()
            return None
        self._confirmed_at = asked_at
        return answer


def _key(group: str, name: str) -> tuple[sa.ColumnElement[int], sa.ColumnElement[int]]:
    """The two numbers of an advisory lock."""
    return sa.cast(_number(group), sa.Integer), sa.cast(_number(name), sa.Integer)


def _number(text: str) -> int:
    """31 bits: the same as int4 and as oid."""
    return crc32(text.encode()) >> 1
