"""A new database and what reads and writes it."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from service.store.engine import sqlite_engine
from service.store.jobs import Jobs
from service.store.migrations import upgrade
from service.store.records import Records


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    engine = sqlite_engine(tmp_path / "records.db")
    upgrade(engine)
    return engine


@pytest.fixture
def records(engine: sa.Engine) -> Records:
    return Records(engine)


@pytest.fixture
def jobs(engine: sa.Engine) -> Jobs:
    return Jobs(engine)
