"""Liveness of processes: a lock for each, freed the moment its holder dies, kill -9 and power cut included.

Locks come in groups: the engine's executors, and the roles that `/readyz` looks for. On one host the kernel holds them
(files), on several hosts PostgreSQL does (advisory locks of a session).
"""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from service.store.advisory_locks import AdvisoryLocks
from service.store.file_locks import FileLocks


class Locks(Protocol):
    """The locks of one process, and its view of all others'."""

    @property
    def held(self) -> bool:
        """False when a lock of ours may have become free: another process may be doing our work."""
        ...

    def join(self, group: str) -> str:
        """Take a new lock in a group, until `leave` or the end of this process; its name."""
        ...

    def leave(self, group: str, name: str) -> None:
        """Free a lock of ours."""
        ...

    def members(self, group: str) -> int:
        """How many locks of a group are taken."""
        ...

    def take(self, group: str, name: str) -> bool:
        """Returns whether the lock of this name is ours, now or already: we keep it until this process ends.

        Not for a group with members.
        """
        ...

    def inherit(self, group: str, name: str) -> AbstractContextManager[bool]:
        """A block with True if the holder is dead; nobody else inherits from it meanwhile."""
        ...


def locks(engine: sa.Engine, folder: Path) -> Locks:
    """What fits the database: advisory locks on PostgreSQL, files in `folder` beside SQLite."""
    return AdvisoryLocks(engine) if engine.dialect.name == "postgresql" else FileLocks(folder)
