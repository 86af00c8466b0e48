"""What a spool writes and reads where files may be encrypted. Both kinds lie side by side, told by their beginning."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from hashlib import file_digest
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO, cast

from service.store.encrypted_file import (
    HEADER_BYTES,
    MAGIC,
    PIECE_BYTES,
    FileKey,
    NotWhole,
    decrypt,
    encrypt,
    key_id_of,
)
from service.store.file_keys import FileKeys, KeyForgotten, KeyUnknown
from service.store.master_keys import NoMasterKey
from service.store.names import RECEIVED, is_whole, owner, tells

LOST = (NotWhole, KeyForgotten, KeyUnknown)
"""What reading a file raises that nobody can read any more. Where the master key is missing, it may come back."""


@dataclass(frozen=True, slots=True)
class Encryption:
    """keys: None if no file was ever encrypted, and none is to be. new_files: whether they are encrypted."""

    keys: FileKeys | None = None
    new_files: bool = False

    def pieces(self, name: str, content: bytes | memoryview) -> Iterator[bytes] | None:
        """The bytes of the encrypted file; None if it is to be plain. Its key is durable before this returns.

        name: the relative path under which alone it can be read. A study or a job that has a key goes on with it, and
        what looks like an encrypted file always becomes one.
        """
        if self.keys is None:
            return None
        wanted = self.new_files or content[: len(MAGIC)] == MAGIC
        key = self.keys.of(owner(name)) if wanted else self.keys.existing(owner(name))
        return None if key is None else encrypt(key, name, content)

    def reading(self) -> "Reading":
        """Returns what reads several files: the database is asked for each key once."""
        return Reading(cache(self._key), cache(self._had_key))

    def content(self, name: str, file: BinaryIO) -> bytes | None:
        """The content of a file; None if it is not what its name says. OSErrors as those of `Reading.is_encrypted`."""
        reading = self.reading()
        try:
            found = b"".join(reading.decrypted(name, file)) if reading.is_encrypted(name, file) else file.read()
        except NotWhole:
            return None
        return found if is_whole(name, found) else None

    def saved(self, name: str, file: BinaryIO) -> bytes:
        """The content of a file of results; NotWhole if it is not what was saved. Else as `Reading.is_encrypted`."""
        reading = self.reading()
        if reading.is_encrypted(name, file):
            return b"".join(reading.decrypted(name, file))
        if not reading.may_be_plain(name, file):
            raise NotWhole(name)
        return file.read()

    def may_be_found(self, name: str, file: BinaryIO) -> bool:
        """Whether a received file that has no row may be one that we saved: not a plain one where we encrypt.

        OSErrors as those of `Reading.is_encrypted`.
        """
        reading, whose = self.reading(), owner(name)
        if self.keys is None or reading.is_encrypted(name, file) or not reading.had_key(whose):
            return True
        return not self.new_files and self.keys.existing(whose) is None

    def holds(self, name: str, file: BinaryIO, content: bytes | memoryview) -> bool:
        """Whether a file has this content and can be read; compared in pieces: it may be larger than the memory."""
        reading = self.reading()
        try:
            encrypted = reading.is_encrypted(name, file)
            pieces = reading.decrypted(name, file) if encrypted else iter(lambda: file.read(PIECE_BYTES), b"")
            return _same(pieces, content)
        except (*LOST, NoMasterKey):
            return False

    def is_readable(self, beginning: bytes, in_use: str | None) -> bool:
        """Whether a file that begins so is plain, or encrypted with the key that is in use (its id)."""
        return self.keys is None or key_id_of(beginning) in (None, in_use)

    def _key(self, key_id: str) -> FileKey:
        if self.keys is None:
            raise NoMasterKey("the master key of encrypted files is not configured (encryption.master_key)")
        return self.keys.by_id(key_id)

    def _had_key(self, whose: str) -> bool:
        return self.keys is not None and self.keys.has_any(whose)


@dataclass(frozen=True, slots=True)
class Reading:
    """Reads several files, each open at its beginning. key: of an id; had_key: whether an owner has one, or had one."""

    key: Callable[[str], FileKey]
    had_key: Callable[[str], bool]

    def is_encrypted(self, name: str, file: BinaryIO) -> bool:
        """Whether a file is encrypted; KeyForgotten, KeyUnknown or NoMasterKey if it is and cannot be read."""
        key_id = _key_id(file)
        if key_id is None:
            return False
        try:
            self.key(key_id)
        except (KeyUnknown, NoMasterKey):
            if not self._is_told(name, file):  # a plain file may begin with anything
                raise
            return False
        return True

    def may_be_plain(self, name: str, file: BinaryIO) -> bool:
        """Whether a plain file may be what was saved: its owner never had a key, or it is a received one that came
        before, whose name tells its content. Results are encrypted all or none.

        Else somebody could put another file in the place of an encrypted one.
        """
        if not self.had_key(owner(name)):
            return True
        return name.startswith(f"{RECEIVED}/") and self._is_told(name, file)

    def decrypted(self, name: str, file: BinaryIO) -> Iterator[bytes]:
        """The content of an encrypted file in pieces, to be believed at their end; NotWhole if it is another one."""
        key_id = _key_id(file)
        if key_id is None:
            raise NotWhole(name)
        return decrypt(self.key(key_id), name, file)

    def copy(self, name: str, file: BinaryIO, target: Path) -> None:
        """Write the content of an encrypted file to `target`; NotWhole, and no `target`, if it is another one."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("wb") as copy:
                copy.writelines(self.decrypted(name, file))
        except OSError:
            target.unlink(missing_ok=True)
            raise

    def _is_told(self, name: str, file: BinaryIO) -> bool:
        digest = file_digest(cast("BufferedReader", file), "sha256").hexdigest()
        file.seek(0)
        return tells(name, digest)


def _key_id(file: BinaryIO) -> str | None:
    key_id = key_id_of(file.read(HEADER_BYTES))
    file.seek(0)
    return key_id


def _same(pieces: Iterable[bytes], content: bytes | memoryview) -> bool:
    at = 0
    for piece in pieces:
        if piece != content[at : at + len(piece)]:
            return False
        at += len(piece)
    return at == len(content)


PLAIN = Encryption()
"""No file is encrypted."""
