"""One way to open an SQLite database: durable, and safe for several processes."""

from pathlib import Path
from typing import Literal

import sqlalchemy as sa


def sqlite_engine(path: Path, synchronous: Literal["FULL", "NORMAL"] = "FULL") -> sa.Engine:
    """An engine whose commits survive power loss and whose transactions never overlap.

    synchronous: NORMAL only for the receiver, whose rows a power cut may take and the spool gives back.

    BEGIN IMMEDIATE: without it two processes read the same state and both act on it.
    """
    engine = sa.create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @sa.event.listens_for(engine, "connect")
    def configure(connection: object, _record: object) -> None:
        connection.isolation_level = None  # type: ignore[attr-defined]  # we begin transactions ourselves
        for pragma in ("journal_mode=WAL", f"synchronous={synchronous}", "foreign_keys=ON", "busy_timeout=30000"):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine
