"""Whether an SQLite file can be relied on."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Unusable:
    """why: in words. damaged: its content is wrong; else it cannot be opened now, and may be whole."""

    why: str
    damaged: bool


def why_unusable(path: Path) -> Unusable | None:
    """What is wrong with a database file; None if nothing is, or if there is none. Reads the whole file."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30)) as connection:
            ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError as error:  # rights, a full disk, a read-only one
        return Unusable(f"{path} cannot be opened: {error}", damaged=False)
    except sqlite3.DatabaseError as error:
        found = str(error)
    return None if found == "ok" else Unusable(f"{path} is damaged: {' '.join(found.split())}", damaged=True)
