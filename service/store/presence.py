"""Which processes are up, told by locks that are freed the moment a process dies."""

from collections.abc import Iterator
from contextlib import contextmanager

from service.store.liveness import Locks


@contextmanager
def presence(locks: Locks, role: str) -> Iterator[None]:
    """Announces this process as one of a role, until the end of the block or of the process."""
    name = locks.join(role)
    try:
        yield
    finally:
        locks.leave(role, name)


def present(locks: Locks, role: str) -> bool:
    """Is a process of that role alive?"""
    return locks.members(role) > 0
