"""Opens a database: an SQLite file for one host, PostgreSQL for several. Durable, and safe for several processes."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import psycopg
import sqlalchemy as sa
from psycopg.types.string import StrDumper
from sqlalchemy.dialects import postgresql, sqlite

from service.errors import Permanent
from service.tls import TlsFiles

# Of a host that vanished the server must notice it (11 s), or the locks and rows of its sessions stay taken for hours;
# nor may a process frozen inside a transaction hold up all others.
_SESSION = {
    "tcp_keepalives_idle": "5s",
    "tcp_keepalives_interval": "2s",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "11s",
    "idle_in_transaction_session_timeout": "60s",
    "synchronous_commit": "on",  # whatever the server's default is: a sender is told that its image is kept
}
_INSERT: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_CLIENT = {
    "connect_timeout": 10,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 11_000,
}


_LOG_WAITS_MS = 200
"""Others wait as long to write."""


def database_engine(database: str | Path, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> sa.Engine:
    """The engine of an SQLite file (a path) or of a PostgreSQL database (a URL). synchronous: of SQLite only.

    Permanent if the URL cannot be used.
    """
    if isinstance(database, Path):
        return sqlite_engine(database, synchronous)
    return postgresql_engine(database)


def in_words(error: sa.exc.SQLAlchemyError) -> str:
    """What a database cannot do now, without any value of a row: PostgreSQL's messages may quote them."""
    cause = error.orig if isinstance(error, sa.exc.DBAPIError) else None
    return f"the database fails: {cause if isinstance(cause, sqlite3.Error) else type(cause or error).__name__}"


def insert_or_nothing(connection: sa.Connection, table: sa.Table) -> Any:
    """Returns an INSERT that does nothing where such a row is there already."""
    return _INSERT[connection.dialect.name](table).on_conflict_do_nothing()


def sqlite_engine(path: Path, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> sa.Engine:
    """An engine whose commits survive power loss and whose transactions never overlap.

    synchronous: NORMAL only for the receiver, whose rows a power cut may take and the spool gives back.

    BEGIN IMMEDIATE: without it two processes read the same state and both act on it. One connection, which threads
    take in turn: SQLite's own waiting is by chance, and one slice in a hundred waited for a second.
    """
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        connect_args={"timeout": 30},
        hide_parameters=True,
        pool_size=1,
        max_overflow=0,
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # we begin transactions ourselves
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


@contextmanager
def durable(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction whose commit survives power loss on every engine, that of the receiver too."""
    with engine.connect() as connection:
        sqlite: Any = connection.connection.driver_connection if engine.dialect.name == "sqlite" else None
        if sqlite is None:
            with connection.begin():
                yield connection
            return
        usual = sqlite.execute("PRAGMA synchronous").fetchone()[0]
        sqlite.execute("PRAGMA synchronous=FULL")
        try:
            with connection.begin():
                yield connection
        finally:
            sqlite.execute(f"PRAGMA synchronous={usual}")


def drop_log(engine: sa.Engine) -> bool:
    """Write SQLite's -wal file into the database and empty it: it may still hold what was overwritten there.

    Returns whether it is empty; not where another process reads meanwhile, or the disk is full or fails. PostgreSQL has
    no such file, and cleans up by itself.
    """
    if engine.dialect.name != "sqlite":
        return True
    with engine.connect() as connection:
        sqlite: Any = connection.connection.driver_connection  # in no transaction, as a checkpoint wants it
        usual = sqlite.execute("PRAGMA busy_timeout").fetchone()[0]
        sqlite.execute(f"PRAGMA busy_timeout={_LOG_WAITS_MS}")
        try:
            busy: int = sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        except sqlite3.Error:
            return False
        finally:
            sqlite.execute(f"PRAGMA busy_timeout={usual}")
    return not busy


@contextmanager
def rebuilding(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A transaction in which tables may be made anew, as SQLite changes constraints; rolled back if a row is orphaned.

    SQLite checks foreign keys when a table is dropped, unless they are off, and lets them be off outside only.
    """
    with engine.connect() as connection:
        sqlite: Any = connection.connection.driver_connection if engine.dialect.name == "sqlite" else None
        if sqlite is None:
            with connection.begin():
                yield connection
            return
        sqlite.execute("PRAGMA foreign_keys=OFF")
        try:
            with connection.begin():
                yield connection
                if orphaned := connection.exec_driver_sql("PRAGMA foreign_key_check").all():
                    raise Permanent(f"{len(orphaned)} rows of the database refer to rows that are not there")
        finally:
            sqlite.execute("PRAGMA foreign_keys=ON")


def postgresql_engine(url: str) -> sa.Engine:
    """An engine on `postgresql+psycopg://user:password@host:port/database`, by TCP.

    Transactions overlap here: whoever reads a row to change it locks it (SELECT ... FOR UPDATE).
    """
    parsed = _parsed(url)
    options = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    engine = sa.create_engine(
        parsed,
        isolation_level="READ COMMITTED",
        hide_parameters=True,  # an error's text reaches the logs
        pool_pre_ping=True,  # a connection that a restart of the server broke is replaced, not handed out
        connect_args={**_CLIENT, "options": f"{options} {parsed.query.get('options', '')}"},
    )

    @sa.event.listens_for(engine, "connect")
    def configure(connection: psycopg.Connection[Any], _record: object) -> None:
        connection.adapters.register_dumper(str, _WithoutNul)

    return engine


def with_tls(url: str, tls: TlsFiles) -> str:
    """The URL of a PostgreSQL server that is to show a right certificate; it holds a password, as `url` may."""
    files = {"sslcert": tls.certificate, "sslkey": tls.key or tls.certificate, "sslcrl": tls.crl}
    query = {name: str(path) for name, path in files.items() if path}
    query |= {"sslrootcert": str(tls.ca), "sslmode": "verify-full", "ssl_min_protocol_version": "TLSv1.2"}
    query["gssencmode"] = "disable"  # it would go before TLS
    return _parsed(url).update_query_dict(query).render_as_string(hide_password=False)


class _WithoutNul(StrDumper):
    """PostgreSQL has no NUL in a text; the header of a damaged file may."""

    def dump(self, text: str) -> Any:
        return super().dump(text.replace("\0", "\N{REPLACEMENT CHARACTER}"))


def _parsed(url: str) -> sa.URL:
    """The URL itself is never shown: it holds a password."""
    try:
        parsed = sa.make_url(url)
    except sa.exc.ArgumentError as error:
        raise Permanent("the database URL cannot be read: postgresql+psycopg://user:password@host/database") from error
    if parsed.drivername != "postgresql+psycopg":
        raise Permanent(f"the database URL begins with {parsed.drivername!r}; it must be 'postgresql+psycopg'")
    if not parsed.host or parsed.host.startswith("/") or "host" in parsed.query:
        raise Permanent("the database URL names no host; PostgreSQL is used by TCP only")
    return parsed
