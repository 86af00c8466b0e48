"""What several kinds of tests share."""

from collections.abc import Iterator

import pytest
from postgresql import PostgreSQL


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server for all tests of a run."""
    with PostgreSQL() as server:
        yield server
