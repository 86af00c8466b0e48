"""Signs the end of the audit trail's chain, and verifies the whole of it."""

import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from tempfile import NamedTemporaryFile

import sqlalchemy as sa
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.errors import Permanent
from service.log_once import LogOnce
from service.store.audit import lock_trail
from service.store.audit_chain import NOTHING, PURGE, TRAIL, Head, Row, Unreadable, Verified, public, signed, verify
from service.store.tables import audit, audit_heads

log = logging.getLogger(__name__)

_SIGN_EVERY = timedelta(minutes=1)
_AT_ONCE = 5000
"""Rows read in one transaction: on SQLite nobody writes meanwhile."""

_WRONG = (ValueError, TypeError, RecursionError)
"""What a row raises that nothing of ours has written."""


class AuditHeads:
    """Heads of one database. key: None: nothing is signed here.

    last: file outside the database that holds the signature of the last head of this host.
    """

    def __init__(
        self, engine: sa.Engine, key: Ed25519PrivateKey | None, last: Path, clock: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self.key = key
        self._last = last
        self._clock = clock
        self._refuses = LogOnce(log, "the audit trail is not signed any more: %s", "the audit trail is signed again")

    def sign(self) -> bool:
        """Sign what has been added, at most once a minute; whether it was done.

        Not where the last head of this host is not there any more: who removed it would get a new one for what is left.
        """
        if self.key is None:
            return False
        made = self._made(self.key)
        if made is None:
            return False
        # The log is kept elsewhere: it contradicts whoever has the database and the key.
        log.info("audit trail signed: entry %d, digest %s, key %s", made.number, made.digest, made.key)
        self._keep(made.signature)
        return True

    def verify(self, known_keys: Iterable[str]) -> Verified:
        """Read the whole trail. known_keys: public ones, hexadecimal."""
        kept = self._kept()
        told = sa.select(sa.cast(audit.c.detail, sa.Text)).where(audit.c.what == PURGE, audit.c.subject == TRAIL)
        with self._engine.begin() as connection:
            lock_trail(connection)  # what retention deletes, and that it did, are of one moment
            try:
                heads = list(_heads(connection))
            except (ValueError, TypeError) as error:
                raise Permanent("a head of the audit trail cannot be read: nothing of ours wrote it so") from error
            purges = [_loaded(text) for text in connection.scalars(told)]
            first = _page(connection, 0)
        return verify(chain(first, self._rows_after(first)), heads, purges, frozenset(known_keys), kept)

    def _made(self, key: Ed25519PrivateKey) -> Head | None:
        kept = self._kept()
        with self._engine.begin() as connection:
            lock_trail(connection)
            end = connection.execute(sa.select(audit.c.id, audit.c.digest).order_by(audit.c.id.desc()).limit(1)).first()
            newest = sa.select(audit_heads).order_by(audit_heads.c.id.desc()).limit(1)
            before = connection.scalar(newest.with_only_columns(audit_heads.c.signature)) or NOTHING
            own = connection.execute(newest.where(audit_heads.c.key == public(key))).first()
            known = sa.select(audit_heads.c.id).where(audit_heads.c.signature == kept)
            if kept is not None and connection.scalar(known) is None:
                self._refuses.tell(
                    f"its last head, which {self._last} names, is gone; `thoracle audit verify` tells more"
                )
                return None
            self._refuses.tell("")
            now = self._clock()
            fresh = own is not None and timedelta() <= now - own.at < _SIGN_EVERY
            if end is None or fresh or (own is not None and own.number == end.id and own.digest == end.digest):
                return None
            made = signed(key, end.id, end.digest, now, before)
            connection.execute(sa.insert(audit_heads).values(asdict(made)))
            return made

    def _rows_after(self, page: list[Row | Unreadable]) -> Iterator[Row | Unreadable]:
        while page:
            with self._engine.begin() as connection:
                page = _page(connection, page[-1].id)
            yield from page

    def _kept(self) -> str | None:
        try:
            kept = self._last.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise Permanent(f"{self._last}, the last head of the audit trail, cannot be read") from error
        if not kept:
            raise Permanent(f"{self._last}, the last head of the audit trail, is empty")
        return kept

    def _keep(self, signature: str) -> None:
        part = self._last.with_name(f".{self._last.name}.part")  # of several workers, any one's will do
        with part.open("w", encoding="ascii") as file:
            part.chmod(0o600)
            file.write(signature)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._last)


def _page(connection: sa.Connection, last: int) -> list[Row | Unreadable]:
    """The rows behind one. A row that cannot be read costs its page, row by row."""
    behind = audit.c.id > last
    try:
        return list(_read(connection, behind))
    except _WRONG:
        ids = sa.select(audit.c.id).where(behind).order_by(audit.c.id).limit(_AT_ONCE)
        return [_one(connection, number) for number in connection.scalars(ids).all()]


def _read(connection: sa.Connection, which: sa.ColumnElement[bool]) -> Iterator[Row]:
    text = sa.cast(audit.c.detail, sa.Text).label("text")
    columns = [text if field.name == "text" else getattr(audit.c, field.name) for field in fields(Row)]
    for row in connection.execute(sa.select(*columns).where(which).order_by(audit.c.id).limit(_AT_ONCE)):
        found = Row(*row)
        texts = (found.who, found.what, found.subject, found.outcome, found.text, found.digest)
        _check(isinstance(found.entry, int) and all(isinstance(one, str) for one in texts))
        yield found


def _one(connection: sa.Connection, number: int) -> Row | Unreadable:
    try:
        return next(iter(_read(connection, audit.c.id == number)))
    except _WRONG as error:
        return Unreadable(number, type(error).__name__)


def _heads(connection: sa.Connection) -> Iterator[Head]:
    columns = [getattr(audit_heads.c, field.name) for field in fields(Head)]
    for row in connection.execute(sa.select(*columns).order_by(audit_heads.c.id)):
        found = Head(*row)
        texts = (found.digest, found.before, found.key, found.signature)
        _check(isinstance(found.number, int) and all(isinstance(one, str) for one in texts))
        yield found


def _check(as_written: bool) -> None:
    """SQLite takes anything into any column."""
    if not as_written:
        raise TypeError("a value of another type")


def _loaded(text: str) -> object:
    with suppress(ValueError, TypeError):
        return json.loads(text)
    return None


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The key in a file (PEM, PKCS 8), which is made if there is none; Permanent, in words, if it is no use."""
    try:
        _make(path)
    except OSError as error:
        raise Permanent(f"the key {path} that signs the audit trail cannot be made: {error.strerror}") from error
    made = existing_key(path)
    if made is None:
        raise Permanent(f"the key {path} that signs the audit trail is a link to a file that is not there")
    return made


def existing_key(path: Path) -> Ed25519PrivateKey | None:
    """The same; None if there is none."""
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Permanent(f"the key {path} that signs the audit trail cannot be used: {error.strerror}") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # TypeError: it wants a password
        raise Permanent(f"{path} holds no Ed25519 key (PEM) without a password") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise Permanent(f"{path} holds no Ed25519 key (PEM) without a password")
    return key


def _make(path: Path) -> None:
    """Whole or not at all, and never over another: several processes start at once."""
    if path.exists():
        return
    none = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    content = Ed25519PrivateKey.generate().private_bytes(serialization.Encoding.PEM, form, none)
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.") as file:  # this user's only
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was first
            os.link(file.name, path)
