"""docs/reference/crash-matrix.md, written by the matrix itself."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.crash_matrix.hospital import PIPELINES
from tests.crash_matrix.states import BACKENDS, STATES, State

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "crash-matrix.md"

NAMES = {"sqlite": "SQLite, disk", "postgresql-s3": "PostgreSQL, S3"}

_HEAD = f"""# Crash matrix

Written by `make crash-matrix`; do not edit.

In every cell one CT comes to the running service, where {" and ".join(PIPELINES)} analyse it, and at
the named moment something dies: a process by kill -9, a server of the backend, or the PACS. Whatever died starts again
by itself. *committed* says that afterwards the PACS (Orthanc) holds every result of each pipeline once, with the bytes
that we keep, and has committed to it, and that the journal tells every step. No cell leaves files without rows, rows
without files, unfinished jobs or pending work.

Thresholds stand for the networks of lungs and opacities; all else is the whole path. What cannot happen on a
backend has a dash.

"""


def cells() -> list[tuple[State, str]]:
    """All that can happen, in the order of the page."""
    return [(state, backend) for state in STATES for backend in BACKENDS if backend in state.backends]


def text(words: Mapping[tuple[str, str], str]) -> str:
    """words: what became of each cell, by the state's key and the backend."""
    return _HEAD + "\n".join(_rows(words)) + "\n"


def _rows(words: Mapping[tuple[str, str], str]) -> Iterator[str]:
    yield "| State | Moment | What happens | " + " | ".join(NAMES[b] for b in BACKENDS) + " |"
    yield "|---|---|---|" + "---|" * len(BACKENDS)
    for state in STATES:
        became = [words.get((state.key, b), "not run") if b in state.backends else "–" for b in BACKENDS]
        yield f"| {state.name} | {state.moment} | {state.what} | " + " | ".join(became) + " |"
