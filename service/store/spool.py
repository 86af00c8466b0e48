"""Files: received instances and results. Written whole or not at all, and on disk before anyone is told.

    data_dir/spool/<study>/<series>/<instance>-<content>.dcm
    data_dir/results/<job id>/<name>                            a whole folder appears at once

Files never change: other bytes for the same SOP Instance UID make another file. Paths are relative to data_dir, and the
same whether files are encrypted or not; a name tells the content, not the encrypted bytes.
A kill leaves `.part` files only. A power cut during `save` may leave a damaged file: its name tells its content.
"""

import errno
import fcntl
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from service.domain.arrival import Identity
from service.store.encrypted_file import HEADER_BYTES, NotWhole
from service.store.encryption import PLAIN, Encryption, Reading
from service.store.names import RECEIVED, RESULTS, received, results_folder
from service.store.temporary_copies import folder_for_copies, remove_copies

PRIVATE_FOLDER = 0o700
"""Rights of a folder with patient data: the service's user alone."""

_PART = ".part"
_TRIES = 10


class Spool:
    """The data directory (port `service.domain.ports.Spool`); the same one may be used by several processes."""

    def __init__(self, data_dir: Path, encryption: Encryption = PLAIN) -> None:
        self._root = data_dir
        self._encryption = encryption
        self._durable: set[Path] = set()
        self._folders = threading.Lock()
        self._syncs = ThreadPoolExecutor(thread_name_prefix="spool-sync")
        self._received = data_dir / RECEIVED
        self._results = data_dir / RESULTS

    def free_bytes(self) -> int:
        """Space left on the disk of the data directory."""
        return shutil.disk_usage(self._root).free

    def total_bytes(self) -> int:
        """Size of that disk."""
        return shutil.disk_usage(self._root).total

    def save(self, identity: Identity, content: bytes | memoryview, digest: str) -> str:
        """Write a received file durably and return its path. digest: SHA-256 of `content`, in hex."""
        path = self._root / received(identity, digest)
        for _ in range(_TRIES):
            with suppress(FileNotFoundError):
                return self._save(path, content)
        return self._save(path, content)

    def _save(self, path: Path, content: bytes | memoryview) -> str:
        """FileNotFoundError if a purge of the study removes the file or its folder under our hands."""
        folder = path.parent
        self._ensure(folder)
        if not self._holds(path, content):
            part = folder / f"{uuid.uuid4().hex}{_PART}"
            with _removed_if_writing_fails(part):
                self._write(part, self._relative(path), content)
                with _replacing(folder):
                    if self._holds(path, content):  # another sender was quicker; our key may be forgotten since
                        part.unlink()
                    else:
                        part.rename(path)
        # Together, because the disk then needs to flush only once: the two take turns otherwise.
        synced = self._syncs.submit(_sync, path)
        _sync(folder)
        synced.result()
        return self._relative(path)

    def is_there(self, relative: str, key_id: str | None = None) -> bool:
        """Whether there is such a received file, plain or encrypted with this key."""
        try:
            with (self._root / relative).open("rb") as file:
                return self._encryption.is_readable(file.read(HEADER_BYTES), key_id)
        except FileNotFoundError:
            return False

    def received(self) -> Iterator[str]:
        """Paths of all complete received files."""
        return (self._relative(path) for path in self._received.glob("*/*/*.dcm"))

    def saved_at(self, relative: str) -> datetime:
        return datetime.fromtimestamp((self._root / relative).stat().st_mtime, UTC)

    def read(self, relative: str) -> bytes | None:
        """A received file, or None if it is not what its name says; KeyForgotten or another OSError without its key."""
        with (self._root / relative).open("rb") as file:
            return self._encryption.content(relative, file)

    def may_be_found(self, relative: str) -> bool:
        """Whether a received file that has no row may be one that this service saved."""
        with (self._root / relative).open("rb") as file:
            return self._encryption.may_be_found(relative, file)

    @contextmanager
    def local(self, relatives: Sequence[str]) -> Iterator[list[Path]]:
        """The files themselves; of encrypted ones copies in a temporary folder (TMPDIR).

        OSError, too, if an encrypted one is not what was saved, or a plain one lies in its place.
        """
        with ExitStack() as stack:
            folder = cache(lambda: stack.enter_context(folder_for_copies()))
            reading = self._encryption.reading()
            yield [self._plain(relative, reading, folder) for relative in relatives]

    def _plain(self, relative: str, reading: Reading, folder: Callable[[], Path]) -> Path:
        """The file itself, or a copy that is not encrypted; FileNotFoundError where a missing one is opened."""
        path = self._root / relative
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return path
        with file:
            if reading.is_encrypted(relative, file):
                copy = folder() / relative
                reading.copy(relative, file, copy)
                return copy
            if not reading.may_be_plain(relative, file):
                raise NotWhole(relative)
        return path

    def remove(self, *relatives: str) -> None:
        """Delete files, as far as they are there, and the folders that are empty then."""
        paths = [self._root / relative for relative in relatives]
        for path in paths:
            path.unlink(missing_ok=True)
        for folder in {path.parent for path in paths}:
            _sync_removal(folder)
        for folder in {path.parent.parent for path in paths}:
            _sync_removal(folder)

    def remove_damaged(self, relative: str) -> bool:
        """Delete a received file if it is still not what its name says: another process may just have replaced it."""
        path, removed = self._root / relative, False
        with suppress(FileNotFoundError), _replacing(path.parent):
            if self.read(relative) is None:
                path.unlink()
                removed = True
        if removed:
            _sync_removal(path.parent)
            _sync_removal(path.parent.parent)
        return removed

    def remove_results(self, job_id: str) -> None:
        """Delete a job's results together: a kill leaves what `remove_parts` removes."""
        part = self._results / f"{job_id}-{uuid.uuid4().hex}{_PART}"
        try:
            (self._results / job_id).rename(part)
        except FileNotFoundError:
            return
        _sync(self._results)
        _remove(part)

    def remove_parts(self, older_than_s: float, now_s: float) -> None:
        """Remove what a killed process left half-written, and its copies. now_s: seconds since the epoch."""
        remove_copies(older_than_s, now_s)
        for part in (*self._received.glob(f"*/*/*{_PART}"), *self._results.glob(f"*{_PART}")):
            with suppress(FileNotFoundError):  # another process was quicker
                if now_s - part.stat().st_mtime <= older_than_s:
                    continue
                if part.is_dir():
                    _remove(part)
                else:
                    self.remove(self._relative(part))

    def save_results(self, job_id: str, files: Mapping[str, bytes]) -> dict[str, str]:
        """Write all result files of a job, together and durably; the path of each by name.

        A job that has results keeps them: the first bytes are the ones that may already have been sent.
        """
        folder = self._results / job_id
        if not folder.is_dir():
            self._ensure(self._results)
            part = self._results / f"{job_id}-{uuid.uuid4().hex}{_PART}"
            with _removed_if_writing_fails(part):
                part.mkdir()
                for name, content in files.items():
                    self._write(part / name, f"{results_folder(job_id)}/{name}", content)
                    _sync(part / name)
                _sync(part)
                part.rename(folder)
            _sync(self._results)
        return {path.name: self._relative(path) for path in sorted(folder.iterdir())}

    def _write(self, path: Path, relative: str, content: bytes | memoryview) -> None:
        """Write a file that gets another name. relative: that name, to which an encrypted one is bound."""
        pieces = self._encryption.pieces(relative, content)
        if pieces is None:
            path.write_bytes(content)
            return
        with path.open("wb") as file:
            file.writelines(pieces)

    def _holds(self, path: Path, content: bytes | memoryview) -> bool:
        """Whether the file is there and has this content."""
        if not path.exists():
            return False
        with path.open("rb") as file:
            return self._encryption.holds(self._relative(path), file, content)

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()

    def _ensure(self, folder: Path) -> None:
        """Create the folder so that it survives a power cut: each new name is synced into its parent."""
        with self._folders:  # looked up inside: whoever makes it anew after a purge has it durable before others see it
            if folder in self._durable and folder.is_dir():
                return
            self._durable.discard(folder)
            top = self._root / folder.relative_to(self._root).parts[0]
            top.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            for child in (folder, *folder.parents):
                if child == self._root:
                    break
                _sync(child.parent)
            self._durable.add(folder)


@contextmanager
def _replacing(folder: Path) -> Iterator[None]:
    """Files of a folder are put in place by one process at a time, and damaged ones removed."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def _removed_if_writing_fails(part: Path) -> Iterator[None]:
    """On a full disk, what is half-written would keep it full."""
    try:
        yield
    except OSError:
        _remove(part)
        raise


def _remove(part: Path) -> None:
    shutil.rmtree(part) if part.is_dir() else part.unlink(missing_ok=True)


def _sync_removal(folder: Path) -> None:
    """Make what was removed from a folder durable; the folder goes too when it is empty."""
    with suppress(FileNotFoundError):  # gone already
        try:
            folder.rmdir()
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            _sync(folder)
        else:
            _sync(folder.parent)


def _sync(path: Path) -> None:
    """Make a file's content, or a folder's names, durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
