"""Files in an object store: a spool that many hosts share.

    spool/<study>/<series>/<instance>-<content>.dcm    as on disk (service.store.spool)
    results/<job id>/<attempt>/<name>-<content>        of every attempt to save them
    results/<job id>/manifest.json                     name → path of the attempt that counts: the first to put it

Objects never change and appear whole. They may be encrypted. The manifest is put last, on the condition that there is
none: two workers at the same job agree on one attempt, and nobody sees half of the results.
"""

import json
import math
import re
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from hashlib import file_digest
from io import BytesIO
from pathlib import Path, PurePosixPath

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import ObjectStore

from service.domain.arrival import Identity
from service.store.encrypted_file import HEADER_BYTES, NotWhole
from service.store.encryption import LOST, PLAIN, Encryption, Reading
from service.store.master_keys import NoMasterKey
from service.store.names import RECEIVED, RESULTS, received, telling, tells
from service.store.temporary_copies import folder_for_copies, remove_copies

_TOGETHER = 8
_AT_ONCE_BYTES = 5 << 20
"""What is smaller goes up in one request."""

_MANIFEST = "manifest.json"


class ObjectSpool:
    """One prefix of a bucket (port `service.domain.ports.Spool`). The store must refuse a conditional put."""

    def __init__(self, store: ObjectStore, encryption: Encryption = PLAIN) -> None:
        self._store = store
        self._encryption = encryption

    def why_not(self) -> str | None:
        """Why this store cannot be a spool, in words; None if it can. Leaves nothing behind."""
        probe = f"probe/{uuid.uuid4().hex}"
        try:
            self._create(probe, b"1")
            try:
                self._create(probe, b"2")
            except FileExistsError:
                return None
            finally:
                self.remove(probe)
        except OSError as error:
            return str(error)
        return "it does not know conditional puts (If-None-Match), which keep two workers' results apart"

    def free_bytes(self) -> float:
        return math.inf

    def total_bytes(self) -> float:
        return math.inf

    def save(self, identity: Identity, content: bytes | memoryview, digest: str) -> str:
        """Put a received file; the same bytes again replace themselves. digest: SHA-256 of `content`, in hex."""
        path = received(identity, digest)
        self._put(path, content)
        return path

    def received(self) -> Iterator[str]:
        """Paths of all received files."""
        return (path for path, _ in self._list(RECEIVED))

    def is_there(self, relative: str, key_id: str | None = None) -> bool:
        """Whether there is such a received file, plain or encrypted with this key."""
        try:
            beginning = self._beginning(relative)
        except FileNotFoundError:
            return False
        return self._encryption.is_readable(beginning, key_id)

    def saved_at(self, relative: str) -> datetime:
        with _classified():
            return obstore.head(self._store, relative)["last_modified"]

    def read(self, relative: str) -> bytes | None:
        """A received file, or None if it is not what its name says; KeyForgotten or another OSError without its key."""
        return self._encryption.content(relative, BytesIO(self._get(relative)))

    def may_be_found(self, relative: str) -> bool:
        """Whether a received file that has no row may be one that this service saved."""
        return self._encryption.may_be_found(relative, BytesIO(self._get(relative)))

    @contextmanager
    def local(self, relatives: Sequence[str]) -> Iterator[list[Path]]:
        """Copies in a temporary folder (TMPDIR). NotWhole, too, if one is not what was saved."""
        with folder_for_copies() as folder:
            reading = self._encryption.reading()
            with ThreadPoolExecutor(_TOGETHER) as pool:
                paths = list(pool.map(partial(self._copy, folder, reading), relatives))
            yield paths

    def save_results(self, job_id: str, files: Mapping[str, bytes]) -> dict[str, str]:
        """Put all result files of a job, then their manifest; the path of each by name."""
        if (kept := self._manifest(job_id)) is not None:
            return kept
        attempt = f"{RESULTS}/{job_id}/{uuid.uuid4().hex}"
        paths = {name: f"{attempt}/{telling(name, content)}" for name, content in sorted(files.items())}
        with ThreadPoolExecutor(_TOGETHER) as pool:
            list(pool.map(self._put, paths.values(), (files[name] for name in paths)))
        try:
            self._create_manifest(job_id, paths)
        except FileExistsError:
            return self._first(job_id, paths)
        return paths

    def remove(self, *relatives: str) -> None:
        """Delete files, as far as they are there."""
        self._delete(relatives)

    def remove_damaged(self, relative: str) -> bool:
        """Objects appear whole, so no power cut has damaged one: it is left for the operator to look at."""
        return False

    def remove_results(self, job_id: str) -> None:
        """Delete a job's results, the manifest first: a kill leaves what `remove_parts` removes."""
        self._delete([_manifest_of(job_id)])
        self._delete(path for path, _ in self._list(f"{RESULTS}/{job_id}"))

    def remove_parts(self, older_than_s: float, now_s: float) -> None:
        """Delete attempts that no manifest names, and copies that nobody reads. now_s: seconds since the epoch.

        Objects are as old as the store's own clock says: by another one, they might still be going up.
        """
        remove_copies(older_than_s, now_s)
        limit = self._now() - timedelta(seconds=older_than_s)
        jobs: defaultdict[str, dict[str, datetime]] = defaultdict(dict)
        for path, saved_at in self._list(RESULTS):
            jobs[PurePosixPath(path).parts[1]][path] = saved_at
        for job_id, objects in jobs.items():
            old = {path for path, saved_at in objects.items() if saved_at < limit}
            if _manifest_of(job_id) not in objects:
                self._delete(old)
            elif len({PurePosixPath(path).parent for path in objects}) > 2:  # the manifest's and its attempt's
                self._delete(old - {_manifest_of(job_id)} - self._named(job_id, objects))

    def _now(self) -> datetime:
        probe = f"probe/{uuid.uuid4().hex}"
        self._create(probe, b"")
        try:
            return self.saved_at(probe)
        finally:
            self.remove(probe)

    def _first(self, job_id: str, paths: Mapping[str, str]) -> dict[str, str]:
        """The results that were there first, which are ours if only the answer to our put was lost."""
        kept = self._manifest(job_id)
        if kept is None:
            raise OSError("the results were removed while they were saved")
        if kept != paths:
            self._delete(paths.values())
        return kept

    def _manifest(self, job_id: str) -> dict[str, str] | None:
        try:
            content = self._get(_manifest_of(job_id))
        except FileNotFoundError:
            return None
        paths: dict[str, str] = json.loads(self._encryption.saved(_manifest_of(job_id), BytesIO(content)))
        return paths

    def _create_manifest(self, job_id: str, paths: Mapping[str, str]) -> None:
        """Put the manifest, encrypted as the attempt; FileExistsError if there is one."""
        name, content = _manifest_of(job_id), json.dumps(paths, indent=2).encode()
        pieces = self._encryption.pieces(name, content)
        self._create(name, content if pieces is None else b"".join(pieces))

    def _named(self, job_id: str, objects: Collection[str]) -> set[str]:
        """Those of a job's objects that the manifest names, or may name where it cannot be read."""
        try:
            return set((self._manifest(job_id) or {}).values())
        except (*LOST, NoMasterKey):
            return set(objects)

    def _copy(self, folder: Path, reading: Reading, relative: str) -> Path:
        path = folder / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        fetched = path.with_name(f"{path.name}.part")
        self._fetch(relative, fetched)
        with fetched.open("rb") as file:
            if reading.is_encrypted(relative, file):
                reading.copy(relative, file, path)
                fetched.unlink()
            elif not (
                reading.may_be_plain(relative, file) and tells(relative, file_digest(file, "sha256").hexdigest())
            ):
                raise NotWhole(relative)
            else:
                fetched.rename(path)
        return path

    def _fetch(self, relative: str, target: Path) -> None:
        """Write an object as it is to a file, piece by piece."""
        with _classified(), target.open("wb") as file:
            file.writelines(memoryview(piece) for piece in obstore.get(self._store, relative).stream())

    def _beginning(self, relative: str) -> bytes:
        """The first bytes of an object, as many as an encrypted file's header has."""
        with _classified():
            if self._encryption.keys is None:
                obstore.head(self._store, relative)
                return b""
            pieces = obstore.get(self._store, relative).stream(min_chunk_size=HEADER_BYTES)
            return bytes(next(iter(pieces), b""))[:HEADER_BYTES]

    def _list(self, folder: str) -> Iterator[tuple[str, datetime]]:
        """Paths below a folder, and when each was saved."""
        with _classified():
            for objects in obstore.list(self._store, folder, chunk_size=1000):
                yield from ((one["path"], one["last_modified"]) for one in objects)

    def _get(self, path: str) -> bytes:
        with _classified():
            return bytes(obstore.get(self._store, path).bytes())

    def _put(self, path: str, content: bytes | memoryview) -> None:
        pieces = self._encryption.pieces(path, content)
        if pieces is not None and len(content) < _AT_ONCE_BYTES:
            content, pieces = b"".join(pieces), None
        with _classified():
            obstore.put(self._store, path, content if pieces is None else pieces)

    def _create(self, path: str, content: bytes) -> None:
        """Put what must not be there yet, else FileExistsError."""
        with _classified():
            obstore.put(self._store, path, content, mode="create")

    def _delete(self, paths: Iterable[str]) -> None:
        with _classified(), suppress(FileNotFoundError):
            obstore.delete(self._store, list(paths))


def _manifest_of(job_id: str) -> str:
    return f"{RESULTS}/{job_id}/{_MANIFEST}"


@contextmanager
def _classified() -> Iterator[None]:
    """Whatever the store cannot do now is an OSError: a sender keeps its instance, the worker tries again."""
    try:
        yield
    except FileNotFoundError as error:  # obstore's own choice
        raise FileNotFoundError(_words(error)) from error
    except AlreadyExistsError as error:
        raise FileExistsError(_words(error)) from error
    except BaseError as error:
        raise OSError(_words(error)) from error


def _words(error: Exception) -> str:
    """The first line, and the code of an S3 answer: obstore appends the whole request. The paths in it are hashes."""
    text = str(error)
    first = re.split(r"[<\n]", text, maxsplit=1)[0].strip()
    code = re.search(r"<Code>(\w+)</Code>", text)
    return f"object store: {first} {code[1]}" if code else f"object store: {first}"
