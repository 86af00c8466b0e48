"""A new database, SQLite and PostgreSQL in turn, and what reads and writes it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa
from helpers.databases import open_database
from helpers.postgresql import PostgreSQL

from service.store.deliveries import Deliveries
from service.store.jobs import Jobs
from service.store.records import Records


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    """Where a new database lies."""
    if request.param == "sqlite":
        return tmp_path / "records.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.create()


@pytest.fixture
def engine(database: str | Path) -> Iterator[sa.Engine]:
    engine = open_database(database)
    yield engine
    engine.dispose()


@pytest.fixture
def records(engine: sa.Engine) -> Records:
    return Records(engine)


@pytest.fixture
def jobs(engine: sa.Engine) -> Jobs:
    return Jobs(engine)


@pytest.fixture
def deliveries(engine: sa.Engine) -> Deliveries:
    return Deliveries(engine)
