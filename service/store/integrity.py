"""Whether an SQLite file can be relied on."""

import sqlite3
from contextlib import closing
from pathlib import Path


def why_unusable(path: Path) -> str | None:
    """What is wrong with a database file, in words; None if nothing is, or if there is none. Reads the whole file."""
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=30)) as connection:
            ((found,),) = connection.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.OperationalError as error:  # rights, a full disk, a read-only one
        return f"{path} cannot be opened: {error}"
    except sqlite3.DatabaseError as error:
        return f"{path} is damaged: {error}"
    return None if found == "ok" else f"{path} is damaged: {' '.join(found.split())}"
