"""What several kinds of tests share."""

import os
from collections.abc import Iterator

import pytest
from postgresql import PostgreSQL

# Read when torch and numpy are imported. Several processes of tests share the cores: threads beside them only spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server for all tests of a run."""
    with PostgreSQL() as server:
        yield server
