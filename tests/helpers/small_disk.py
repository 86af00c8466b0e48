"""A disk of its own (tmpfs) that a test may fill or make read-only. Needs root: skips with the reason; in CI: fails."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest


class SmallDisk:
    """Mounted at `folder` in a `with` block."""

    def __init__(self, folder: Path, size_bytes: int) -> None:
        self.folder = folder
        self._size_bytes = size_bytes
        self._filler = folder / "filler"
        self._crowd = folder / "crowd"
        folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> Self:
        mounted = _mount("-t", "tmpfs", "-o", f"size={self._size_bytes}", "tmpfs", str(self.folder))
        if mounted.returncode:
            reason = f"a disk cannot be mounted here: {mounted.stderr.strip()}"
            if os.environ.get("CI") == "true":
                pytest.fail(reason)
            pytest.skip(reason)
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    @property
    def free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free

    def fill(self, leave_bytes: int = 0) -> None:
        """Fill it up until so much is left."""
        with self._filler.open("ab", buffering=0) as file:
            while (free := self.free_bytes) > leave_bytes:
                file.write(bytes(min(1 << 20, free - leave_bytes)))

    def clear(self) -> None:
        """Take away what `fill` wrote."""
        self._filler.unlink()

    def crowd(self) -> None:
        """Use up all inodes: there is space, but no file can be made."""
        self._remount("nr_inodes=2000")
        self._crowd.mkdir()
        with suppress(OSError):
            for number in range(2000):
                (self._crowd / str(number)).touch()

    def disperse(self) -> None:
        """Take away what `crowd` made."""
        shutil.rmtree(self._crowd)

    def resize(self, size_bytes: int) -> None:
        self._remount(f"size={size_bytes}")

    def read_only(self, yes: bool = True) -> None:
        """No file may be open for writing there."""
        self._remount("ro" if yes else "rw")

    def _remount(self, option: str) -> None:
        done = _mount("-o", f"remount,{option}", str(self.folder))
        assert done.returncode == 0, done.stderr


def _mount(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["mount", *arguments], capture_output=True, text=True)
