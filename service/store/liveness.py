"""Who is alive: a lock for each process, freed the moment its holder dies, kill -9 and power cut included.

Locks come in groups: the engine's executors, and the roles that `/readyz` looks for. On one host the kernel holds them
(files), on several hosts PostgreSQL does (advisory locks of a session).
"""

import fcntl
import logging
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import IO, Any, Protocol
from zlib import crc32

import sqlalchemy as sa

log = logging.getLogger(__name__)

_PING_S = 1.0
# Less than the 11 s after which the server gives up a silent session (`engine`): we stop before others begin.
_STALE_AFTER_S = 8.0


class Locks(Protocol):
    """The locks of one process, and its view of all others'."""

    @property
    def held(self) -> bool:
        """False when a lock of ours may have become free: another process may be doing our work."""
        ...

    def join(self, group: str) -> str:
        """Take a new lock in a group, until `leave` or the end of this process; its name."""
        ...

    def leave(self, group: str, name: str) -> None:
        """Free a lock of ours."""
        ...

    def members(self, group: str) -> int:
        """How many locks of a group are taken."""
        ...

    def inherit(self, group: str, name: str) -> AbstractContextManager[bool]:
        """A block with True if the holder is dead; nobody else inherits from it meanwhile."""
        ...


def locks(engine: sa.Engine, folder: Path) -> Locks:
    """What fits the database: advisory locks on PostgreSQL, files in `folder` beside SQLite."""
    return AdvisoryLocks(engine) if engine.dialect.name == "postgresql" else FileLocks(folder)


class FileLocks:
    """`flock` on `folder/group/name`; for one host, on a local file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, IO[str]] = {}

    @property
    def held(self) -> bool:
        """The kernel takes no lock away."""
        return True

    def join(self, group: str) -> str:
        name = _unique()
        path = self._path(group, name)
        part = self._folder / f"{name}.part"
        file = part.open("w", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        part.rename(path)  # seen by others only now: a file without a lock is a dead process's
        self._files[path] = file
        return name

    def claim(self, group: str, kind: str) -> str:
        """The first of `kind-0`, `kind-1`, ... that no live process has, for as long as this object and process live.

        When we die another gets it: what is named by it is taken over, and there are never more than were needed at
        once. Not for a group with members.
        """
        for number in count():
            path = self._path(group, f"{kind}-{number}")
            file = path.open("a", encoding="utf-8")
            if _try_lock(file, fcntl.LOCK_EX):
                self._files[path] = file
                return path.name
            file.close()
        raise AssertionError("numbers do not end")

    def claimed(self, group: str) -> frozenset[str]:
        """The names of `claim` that live processes have, ours among them."""
        return frozenset(path.name for path in (self._folder / group).glob("*") if _is_locked(path))

    def leave(self, group: str, name: str) -> None:
        path = self._path(group, name)
        path.unlink(missing_ok=True)
        self._files.pop(path).close()

    def members(self, group: str) -> int:
        return sum(_is_held(path) for path in sorted((self._folder / group).glob("*")))

    @contextmanager
    def inherit(self, group: str, name: str) -> Iterator[bool]:
        path = self._path(group, name)
        with path.open("a", encoding="utf-8") as file:
            free = _try_lock(file, fcntl.LOCK_EX)
            yield free
            if free:
                path.unlink(missing_ok=True)

    def _path(self, group: str, name: str) -> Path:
        (self._folder / group).mkdir(parents=True, exist_ok=True)
        return self._folder / group / name


class AdvisoryLocks:
    """Advisory locks of one PostgreSQL session, which is used for nothing else; for many hosts.

    When the session breaks, `held` is False for good, and the locks are taken again only so that others see us.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._ours: set[tuple[str, str]] = set()
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
        name = _unique()
        with self._one_at_a_time:
            session = self._session or self._open()
            session.scalar(sa.select(sa.func.pg_advisory_lock(*_key(group, name))))
            self._ours.add((group, name))
            if not self._keeper.is_alive():
                self._keeper.start()
        return name

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

    def _try(self, session: sa.Connection, question: sa.ColumnElement[Any]) -> None:
        asked_at = time.monotonic()
        try:
            session.scalar(sa.select(question))
        except sa.exc.SQLAlchemyError as error:
            log.error("the database session that holds our locks broke: %s", type(error).__name__)
            self._broken, self._session = True, None
            session.invalidate()
        else:
            self._confirmed_at = asked_at


def _unique() -> str:
    """Not the process id: in two containers it may be the same."""
    return f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"


def _is_held(path: Path) -> bool:
    """Files left by the dead are removed."""
    try:
        with path.open(encoding="utf-8") as file:
            if not _try_lock(file, fcntl.LOCK_SH):
                return True
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return False  # it has gone since it was listed
    return False


def _is_locked(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        return not _try_lock(file, fcntl.LOCK_SH)


def _try_lock(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _key(group: str, name: str) -> tuple[sa.ColumnElement[int], sa.ColumnElement[int]]:
    """The two numbers of an advisory lock."""
    return sa.cast(_number(group), sa.Integer), sa.cast(_number(name), sa.Integer)


def _number(text: str) -> int:
    """31 bits: the same as int4 and as oid."""
    return crc32(text.encode()) >> 1
