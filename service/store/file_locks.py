"""Locks of processes on one host: files that the kernel unlocks the moment their holder dies."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import IO

from service.store.process_name import unique_name


class FileLocks:
    """`flock` on `folder/group/name`; for one host, on a local file system."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, IO[str]] = {}

    @property
    def held(self) -> bool:
        """The kernel takes no lock away."""
        return True

    def join(self, group: str) -> str:
        name = unique_name()
        path = self._path(group, name)
        part = self._folder / f"{name}.part"
        file = part.open("w", encoding="utf-8")
        fcntl.flock(file, fcntl.LOCK_EX)
        part.rename(path)  # seen by others only now: a file without a lock is a dead process's
        self._files[path] = file
        return name

    def take(self, group: str, name: str) -> bool:
        path = self._path(group, name)
        if path in self._files:
            return True
        file = path.open("a", encoding="utf-8")
        if _try_lock(file, fcntl.LOCK_EX):
            self._files[path] = file
            return True
        file.close()
        return False

    def claim(self, group: str, kind: str) -> str:
        """The first of `kind-0`, `kind-1`, ... that no live process has, for as long as this object and process live.

        When we die another gets it: what is named by it is taken over, and there are never more than were needed at
        once. Not for a group with members.
        """
        for number in count():
            path = self._path(group, f"{kind}-{number}")
            file = path.open("a", encoding="utf-8")
            if _try_lock(file, fcntl.LOCK_EX):
                self._files[path] = file
                return path.name
            file.close()
        raise AssertionError("numbers do not end")

    def claimed(self, group: str) -> frozenset[str]:
        """The names of `claim` that live processes have, ours among them."""
        return frozenset(path.name for path in (self._folder / group).glob("*") if _is_locked(path))

    def leave(self, group: str, name: str) -> None:
        path = self._path(group, name)
        path.unlink(missing_ok=True)
        self._files.pop(path).close()

    def members(self, group: str) -> int:
        return sum(_is_held(path) for path in sorted((self._folder / group).glob("*")))

    @contextmanager
    def inherit(self, group: str, name: str) -> Iterator[bool]:
        path = self._path(group, name)
        with path.open("a", encoding="utf-8") as file:
            free = _try_lock(file, fcntl.LOCK_EX)
            yield free
            if free:
                path.unlink(missing_ok=True)

    def _path(self, group: str, name: str) -> Path:
        (self._folder / group).mkdir(parents=True, exist_ok=True)
        return self._folder / group / name


def _is_held(path: Path) -> bool:
    """Files left by the dead are removed."""
    try:
        with path.open(encoding="utf-8") as file:
            if not _try_lock(file, fcntl.LOCK_SH):
                return True
            path.unlink(missing_ok=True)
    except FileNotFoundError:
        return False  # it has gone since it was listed
    return False


def _is_locked(path: Path) -> bool:
    with path.open(encoding="utf-8") as file:
        return not _try_lock(file, fcntl.LOCK_SH)


def _try_lock(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
