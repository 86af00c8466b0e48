"""An object while it comes: in memory while it is small, then in a file; dropped once it is larger than any may be.

A peer says nowhere how large the object is that it sends.
"""

import errno
import mmap
import os
import shutil
import tempfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import IO, Any

IN_MEMORY = 4 << 20
"""More goes to a file. Slices of CT have half a megabyte, most have less than two."""

_PREFIX = 4096
"""Left free at the beginning of the file, for the preamble and the file meta information (PS3.10 7.1)."""

_LOOK_EVERY = 64 << 20
"""Bytes of a file after which the space left is looked at again."""


class TooLarge(ValueError):
    """The text is safe to log."""


@dataclass(frozen=True, slots=True)
class Room:
    """Where large objects lie while they come, and how large they may be: bytes, at most.

    folder: None keeps all in memory. reserve: bytes that stay free on its disk.
    """

    folder: Path | None
    most: int
    reserve: float = 0.0

    def file(self) -> IO[bytes]:
        """It has no name: a kill leaves nothing. OSError without space."""
        self.check()
        return tempfile.TemporaryFile(dir=self.folder)

    def check(self) -> None:
        """OSError where the disk has no more space to give away."""
        if self.folder is not None and shutil.disk_usage(self.folder).free < self.reserve:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Received(BytesIO):
    """Written to by one thread, and then read by another. It never raises while it is written to: pynetdicom's thread
    would die of it. What went wrong is raised by `content`.
    """

    def __init__(self, room: Room) -> None:
        super().__init__()
        self.size = 0
        self._room = room
        self._file: IO[bytes] | None = None
        self._looked_at = 0
        self._trouble: Exception | None = None

    def write(self, data: Any) -> int:
        self.size += len(data)
        if self._trouble is None:
            try:
                self._keep(data)
            except OSError as error:
                self._drop(error)
        return len(data)

    def content(self, prefix: bytes) -> bytes | memoryview:
        """Everything, after the prefix. TooLarge, or OSError where it could not be written."""
        if self._trouble is not None:
            raise self._trouble
        if self._file is None:
            return b"".join((prefix, self.getbuffer()))
        self._file.seek(_PREFIX - len(prefix))
        self._file.write(prefix)
        self._file.flush()
        return memoryview(mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ))[_PREFIX - len(prefix) :]

    def _keep(self, data: bytes) -> None:
        if self.size > self._room.most:
            self._drop(TooLarge(f"it is larger than {self._room.most / 1e9:g} GB (receiver.max_object_gb)"))
        elif self._file is not None:
            if self.size - self._looked_at > _LOOK_EVERY:
                self._room.check()
                self._looked_at = self.size
            self._file.write(data)
        elif self.size > IN_MEMORY and self._room.folder is not None:
            self._file = self._room.file()
            self._file.seek(_PREFIX)
            self._file.write(self.getbuffer())
            self._file.write(data)
            self._forget()
        else:
            super().write(data)

    def _drop(self, why: Exception) -> None:
        """Keep nothing of it, nor of what follows."""
        self._trouble = why
        self._forget()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _forget(self) -> None:
        """Let the memory go."""
        self.seek(0)
        self.truncate()
