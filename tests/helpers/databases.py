"""A new database of the newest schema: migrated once in a process, then copied, which takes a tenth of the time."""

import atexit
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import sqlalchemy as sa

from service.store.engine import database_engine, sqlite_engine
from service.store.migrations import upgrade


def open_database(where: str | Path) -> sa.Engine:
    """An engine of the database in a file, or at the URL of a PostgreSQL server; made, or migrated, where need be."""
    if isinstance(where, Path) and not where.exists():
        where.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_template(), where)
        return database_engine(where)
    engine = database_engine(where)
    upgrade(engine)
    return engine


@cache
def _template() -> Path:
    folder = Path(mkdtemp(prefix="thoracle-template-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "records.db"
    engine = sqlite_engine(path)
    upgrade(engine)
    engine.dispose()
    left = sorted(one.name for one in path.parent.iterdir())
    assert left == ["records.db"], f"the template is not in one file: {left}"
    return path
