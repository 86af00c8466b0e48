"""Files of a model repository, changed so that a kill at any moment leaves a repository that loads.

One change at a time, by a file lock; every file is replaced by one rename, and is on disk before.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

from service.errors import Permanent
from service.inference.files import DIGESTS, read_digests

_FOR_ALL, _ENTER = 0o644, 0o111

_LOCK, _STAGING = ".lock", ".staging"


@contextmanager
def changing(repository: Path) -> Iterator[Path]:
    """Hold the lock; yields an empty hidden folder to prepare the change in. Permanent if nothing can be written."""
    staging = repository / _STAGING
    with in_words(repository):
        repository.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_folder(repository)
        with (repository / _LOCK).open("w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            shutil.rmtree(staging, ignore_errors=True)
            make_folder(staging)
            try:
                yield staging
            finally:
                shutil.rmtree(staging, ignore_errors=True)


@contextmanager
def unchanged(repository: Path) -> Iterator[None]:
    """Nobody changes it meanwhile."""
    lock = repository / _LOCK
    with lock.open(encoding="utf-8") if lock.exists() else nullcontext() as file:
        if file is not None:
            fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def in_words(repository: Path) -> Iterator[None]:
    """Raise Permanent, which tells what to do, where nothing can be written."""
    try:
        yield
    except OSError as exc:
        raise Permanent(
            f"The model repository {repository} cannot be changed: {exc.strerror or exc}. "
            "Name a folder that this user can write as `inference.repository` in the configuration."
        ) from exc


def write(path: Path, content: bytes) -> None:
    """Write a file; it is on disk when this returns."""
    make_folder(path.parent)
    with path.open("wb") as file:
        os.fchmod(file.fileno(), _FOR_ALL)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


def make_folder(path: Path) -> None:
    """For all, whatever the umask: models are no patient data, and a server of another user reads them."""
    if not path.is_dir():
        make_folder(path.parent)
        path.mkdir(exist_ok=True)
        path.chmod(_FOR_ALL | _ENTER)


def replace(path: Path, text: str) -> None:
    """Replace a text file; a reader sees the old text or the new one, never a part of either."""
    part = path.with_name(f".{path.name}.part")
    write(part, text.encode())
    rename(part, path)


def rename(old: Path, new: Path) -> None:
    """Rename a file or folder; it has its new name on disk when this returns."""
    old.rename(new)
    _sync(new.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def render_digests(digests: Mapping[str, str]) -> str:
    """Returns SHA-256 digests by path, in the format of `sha256sum`."""
    return "".join(f"{digest}  {key}\n" for key, digest in sorted(digests.items()))


def listed(repository: Path) -> dict[str, str]:
    """Returns the digests as recorded, never computed again: an altered file must not become a released one."""
    return {key: digest for key, digest in read_digests(repository).items() if (repository / key).exists()}


def write_digests(repository: Path, digests: Mapping[str, str]) -> None:
    """Record the digests of all model files."""
    replace(repository / DIGESTS, render_digests(digests))
