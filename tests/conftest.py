"""What several kinds of tests share."""

import gc
import os
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import pytest
from helpers.postgresql import PostgreSQL

# Read when torch and numpy are imported. Several processes of tests share the cores: threads beside them only spin.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Empty: no file. A configuration that lies on the tester's machine must not decide what a test sees.
os.environ["THORACLE_CONFIG"] = ""

_TESTS = Path(__file__).parent
_LONG = tuple(_TESTS / name for name in ("endtoend", "helm", "monitoring", "peers", "unit/converters"))
"""Folders whose modules take long: they start real programs, or convert networks."""


def halves(items: Sequence[pytest.Item]) -> list[pytest.Item]:
    """Both halves begin with long modules and end with short ones.

    pytest-xdist gives each of two processes one half, and one that is done steals from the end of the other's.
    """
    modules = [list(group) for _, group in groupby(items, lambda item: item.path)]
    long = [module for module in modules if any(module[0].path.is_relative_to(folder) for folder in _LONG)]
    short = [item for module in modules if module not in long for item in module]
    first, second = ([item for module in part for item in module] for part in (long[::2], long[1::2]))
    with_first = max(0, len(items) // 2 - len(first))
    return [*first, *short[:with_first], *second, *short[with_first:]]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = halves(items)


def pytest_sessionstart(session: pytest.Session) -> None:
    """No garbage collection until all tests are collected; xdist's first process collects none."""
    if hasattr(session.config, "workerinput") or not session.config.getoption("numprocesses", None):
        gc.disable()


def pytest_collection_finish() -> None:
    """Leaves modules and tests out of garbage collection from here on: looking at them took a tenth of all time."""
    gc.collect()
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A PostgreSQL server for all tests of a run."""
    with PostgreSQL() as server:
        yield server
