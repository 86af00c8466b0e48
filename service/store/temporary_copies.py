"""Copies of stored objects on this host, for whoever needs files. They hold patients' images: none may be left behind.

A folder in use is locked (`flock`), and the kernel frees the lock of a process that dies.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_PREFIX = "thoracle-copies-"


@contextmanager
def folder_for_copies() -> Iterator[Path]:
    """A folder in TMPDIR for as long as the block lasts."""
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as name, _locked(Path(name)):
        yield Path(name)


def remove_copies(older_than_s: float, now_s: float) -> None:
    """Delete folders that killed processes of this host have left. now_s: seconds since the epoch."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):  # in use, or its user has just removed it, or it cannot be removed
            if _is_ours(folder) and now_s - folder.stat().st_mtime > older_than_s:
                with _locked(folder):
                    shutil.rmtree(folder)


def _is_ours(folder: Path) -> bool:
    """Everybody may write to TMPDIR, and a link may lead anywhere."""
    there = folder.lstat()
    return stat.S_ISDIR(there.st_mode) and there.st_uid == os.getuid()


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """BlockingIOError if another process has the lock."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
