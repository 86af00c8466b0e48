"""Keys of encrypted files in the database, wrapped by the master key: one for each study, one for each job's results.

A key is durable before the first file that needs it, also where the receiver's other commits are not. A purge forgets
it: the row stays without the key, as long as the study's history, so that a file that a kill has left is known as
purged. Whoever has saved a file looks, with the study locked, whether its key is still the one in use.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from os import urandom
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from service.domain.key_length import KEY_BYTES
from service.store.encrypted_file import KEY_ID_BYTES, FileKey
from service.store.engine import drop_log, durable, in_words, insert_or_nothing
from service.store.master_keys import MasterKeys, NoMasterKey, Wrapped
from service.store.tables import file_keys

_AT_ONCE = 500

_IN_USE = file_keys.c.wrapped.is_not(None)
_OF_OWNER = sa.select(file_keys).where(file_keys.c.owner == sa.bindparam("whose"), _IN_USE)


class KeyForgotten(FileNotFoundError):
    """The file belongs to a study that was purged: nobody can read it any more."""


class KeyUnknown(OSError):
    """The key of a file is not in this database."""


class FileKeys:
    """The table of keys. Every method may be called from any thread and process; OSError if the database fails."""

    def __init__(self, engine: sa.Engine, masters: MasterKeys) -> None:
        self._engine = engine
        self._masters = masters

    def of(self, owner: str) -> FileKey:
        """The key for new files of an owner (`names.owner`), made and durable if there was none."""
        return self.existing(owner) or self._made(owner)

    def existing(self, owner: str) -> FileKey | None:
        """The key in use of an owner; None if it has none."""
        with _failures(), self._engine.begin() as connection:
            row = connection.execute(_OF_OWNER, {"whose": owner}).one_or_none()
        return None if row is None else self._masters.unwrap(_wrapped(row))

    def has_any(self, owner: str) -> bool:
        """Whether an owner has a key, or had one before a purge."""
        with _failures(), self._engine.begin() as connection:
            any_of_it = sa.select(file_keys.c.key_id).where(file_keys.c.owner == owner).limit(1)
            return connection.execute(any_of_it).first() is not None

    def by_id(self, key_id: str) -> FileKey:
        """The key of a file; KeyForgotten, KeyUnknown or NoMasterKey if it cannot be had."""
        with _failures(), self._engine.begin() as connection:
            row = connection.execute(sa.select(file_keys).where(file_keys.c.key_id == key_id)).one_or_none()
        if row is None:
            raise KeyUnknown(f"key {key_id} is not in this database")
        if row.wrapped is None:
            raise KeyForgotten("its key is forgotten: its study was purged")
        return self._masters.unwrap(_wrapped(row))

    def count(self) -> int:
        """How many keys are in use."""
        with _failures(), self._engine.begin() as connection:
            return connection.execute(sa.select(sa.func.count()).where(_IN_USE)).scalar_one()

    def foreign(self) -> int:
        """How many keys in use were wrapped by a master key that is not configured."""
        counted = sa.select(file_keys.c.master, sa.func.count()).where(_IN_USE).group_by(file_keys.c.master)
        with _failures(), self._engine.begin() as connection:
            return sum(count for master, count in connection.execute(counted) if not self._masters.knows(master))

    def of_older_masters(self) -> int:
        """How many keys in use another master key than the newest wraps."""
        counted = sa.select(sa.func.count()).where(_IN_USE, file_keys.c.master != self._masters.newest)
        with _failures(), self._engine.begin() as connection:
            return connection.execute(counted).scalar_one() if self._masters.newest else 0

    def unusable(self) -> int:
        """How many keys in use cannot be unwrapped; reads all of them."""
        return sum(not self._opens(one) for one in self._all())

    def rewrap(self) -> int:
        """Wrap every key by the newest master key that another one wraps; how many. NoMasterKey if one cannot be."""
        changed = 0
        for one in self._all():
            if one.master == self._masters.newest:
                continue
            again = self._masters.wrap(self._masters.unwrap(one), one.owner)
            this = (file_keys.c.key_id == one.key_id) & _IN_USE
            with _failures(), durable(self._engine) as connection:
                _overwrite(connection)
                values = {"wrapped": again.wrapped, "master": again.master}
                changed += connection.execute(sa.update(file_keys).where(this).values(values)).rowcount
        with _failures():
            drop_log(self._engine)  # what the old master key opens; a worker's janitor does it again
        return changed

    def _made(self, owner: str) -> FileKey:
        """A new key, unless another process was quicker."""
        new = self._masters.wrap(FileKey(urandom(KEY_ID_BYTES).hex(), urandom(KEY_BYTES)), owner)
        values = {"key_id": new.key_id, "owner": owner, "wrapped": new.wrapped, "master": new.master}
        with _failures(), durable(self._engine) as connection:
            connection.execute(insert_or_nothing(connection, file_keys).values(**values, made_at=datetime.now(UTC)))
            row = connection.execute(_OF_OWNER, {"whose": owner}).one()
        return self._masters.unwrap(_wrapped(row))

    def _all(self) -> Iterator[Wrapped]:
        last = ""
        while True:
            some = sa.select(file_keys).where(_IN_USE, file_keys.c.key_id > last).order_by(file_keys.c.key_id)
            with _failures(), self._engine.begin() as connection:
                rows = connection.execute(some.limit(_AT_ONCE)).all()
            if not rows:
                return
            yield from map(_wrapped, rows)
            last = rows[-1].key_id

    def _opens(self, one: Wrapped) -> bool:
        try:
            self._masters.unwrap(one)
        except NoMasterKey:
            return False
        return True


@contextmanager
def _failures() -> Iterator[None]:
    """What the database cannot do now is an OSError: a sender keeps its instance, the worker tries again."""
    try:
        yield
    except SQLAlchemyError as error:
        raise OSError(in_words(error)) from error


def key_in_use(connection: sa.Connection, owner: str) -> str | None:
    """The id of the key of an owner; None if it has none. Inside somebody's transaction."""
    row = connection.execute(_OF_OWNER, {"whose": owner}).one_or_none()
    return None if row is None else str(row.key_id)


def forget_keys(connection: sa.Connection, owners: Collection[str], now: datetime) -> None:
    """Forget the keys of owners for good: their files become unreadable wherever copies are. In a transaction."""
    _overwrite(connection)
    own = file_keys.c.owner.in_(owners) & _IN_USE
    connection.execute(sa.update(file_keys).where(own).values(wrapped=None, forgotten_at=now))


def delete_keys(connection: sa.Connection, owners: Collection[str]) -> None:
    """Delete what is left of the keys of owners. Inside somebody's transaction."""
    _overwrite(connection)
    connection.execute(sa.delete(file_keys).where(file_keys.c.owner.in_(owners)))


def _overwrite(connection: sa.Connection) -> None:
    """SQLite overwrites with zeros what is deleted; else it may stay in free pages of the file."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA secure_delete=ON")


def _wrapped(row: sa.Row[Any]) -> Wrapped:
    return Wrapped(row.key_id, row.owner, row.wrapped, row.master)
