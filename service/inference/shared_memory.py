"""Memory that this process shares with a server on the same host: files in /dev/shm.

A region belongs to the process that holds its file's lock, and the kernel frees that however the process ends. So
whoever comes later can tell which regions were left behind.
"""

import fcntl
import mmap
import os
import uuid
import weakref
from contextlib import suppress
from pathlib import Path

import numpy as np

from service.domain.ports import Array
from service.errors import Transient

FOLDER = Path("/dev/shm")
PREFIX = "thoracle-"

_ALIGNED_BYTES = 64


class CannotShare(Transient):
    """There is no memory to share, or the server cannot open it."""


class Region:
    """A piece of memory under a name of its own, readable by this user only; gone with this object or its process."""

    def __init__(self, size: int, folder: Path = FOLDER) -> None:
        """CannotShare if there is not so much. size: in bytes."""
        self.name = f"{PREFIX}{uuid.uuid4().hex}"
        self.size = size
        try:
            file = _locked(folder / self.name, size)
        except OSError as error:
            raise CannotShare(
                f"{size / 2**20:.0f} MB of shared memory are not to be had in {folder}: {error.strerror}. Give it more "
                "(in a container: shm_size), or set `inference.triton.shared_memory` to never"
            ) from error
        self._memory = mmap.mmap(file, size)
        weakref.finalize(self, _free, file, folder / self.name)

    def array(self, shape: tuple[int, ...], dtype: str, offset: int) -> Array:
        """A part of it; offset: in bytes."""
        return np.ndarray(shape, dtype, self._memory, offset)


def aligned(size: int) -> int:
    """So many bytes that what follows begins where every kind of number may begin."""
    return -(-size // _ALIGNED_BYTES) * _ALIGNED_BYTES


def left_behind(name: str, folder: Path = FOLDER) -> bool:
    """Whether no process holds the region of that name any more; its file is then removed."""
    try:
        file = os.open(folder / name, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:  # another user's
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(FileNotFoundError):
            (folder / name).unlink()
    except BlockingIOError:
        return False
    finally:
        os.close(file)
    return True


def files(folder: Path = FOLDER) -> list[str]:
    """The names of all regions on this host."""
    return [path.name for path in folder.glob(f"{PREFIX}*")]


def _locked(path: Path, size: int) -> int:
    """A new file, without a name until it is locked: a process that dies before leaves nothing. All of it is there: of
    a hole that cannot be filled the kernel tells by a signal that ends the process."""
    file = os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.posix_fallocate(file, 0, size)
        # `src_dir_fd`, though not looked at: without it Python's `link` does not follow the link in /proc to the file.
        os.link(f"/proc/self/fd/{file}", path, src_dir_fd=file)
    except OSError:
        os.close(file)
        raise
    return file


def _free(file: int, path: Path) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    os.close(file)
