"""Signs the end of the audit trail's chain, and verifies the whole of it."""

import logging
import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import NamedTemporaryFile

import sqlalchemy as sa
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.errors import Permanent
from service.store.audit_chain import Head, Verified, signed, verify
from service.store.tables import audit, audit_heads

log = logging.getLogger(__name__)

_SIGN_EVERY = timedelta(minutes=1)


class AuditHeads:
    """Heads of one database. key: None: nothing is signed here."""

    def __init__(self, engine: sa.Engine, key: Ed25519PrivateKey | None, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        self._key = key
        self._clock = clock

    def sign(self) -> bool:
        """Sign what has been added, at most once a minute; whether it was done."""
        if self._key is None:
            return False
        with self._engine.begin() as connection:
            end = connection.execute(sa.select(audit.c.id, audit.c.digest).order_by(audit.c.id.desc()).limit(1)).first()
            last = sa.select(audit_heads.c.number, audit_heads.c.at).order_by(audit_heads.c.id.desc()).limit(1)
            head = connection.execute(last).first()
            now = self._clock()
            if end is None or (head and (head.number == end.id or now - head.at < _SIGN_EVERY)):
                return False
            made = signed(self._key, end.id, end.digest, now)
            connection.execute(sa.insert(audit_heads).values(asdict(made)))
        # The log is kept elsewhere: it contradicts whoever has the database and the key.
        log.info("audit trail signed: entry %d, digest %s, key %s", made.number, made.digest, made.key)
        return True

    def verify(self, known_keys: Iterable[str]) -> Verified:
        """Read the whole trail. known_keys: public ones, hexadecimal."""
        with self._engine.connect() as connection:
            if connection.dialect.name == "postgresql":  # rows and heads of one moment
                connection = connection.execution_options(isolation_level="REPEATABLE READ")
            with connection.begin():
                heads = connection.execute(sa.select(audit_heads).order_by(audit_heads.c.id)).mappings()
                found = [Head(**{name: row[name] for name in Head.__slots__}) for row in heads]
                rows = connection.execute(sa.select(audit).order_by(audit.c.id)).mappings()
                return verify((dict(row) for row in rows), found, frozenset(known_keys))


def signing_key(path: Path) -> Ed25519PrivateKey:
    """The key in a file (PEM, PKCS 8), which is made if there is none; Permanent, in words, if it is no use."""
    try:
        _make(path)
    except OSError as error:
        raise Permanent(f"the key {path} that signs the audit trail cannot be made: {error.strerror}") from error
    made = existing_key(path)
    assert made is not None, "nobody removes it"
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
