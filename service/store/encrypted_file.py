"""The format of an encrypted file: authenticated, and written and read in pieces, so that memory stays bounded.

    MAGIC (16 bytes)   id of the key (16)   salt (32)   piece, piece, ...

A piece is AES-256-GCM of PIECE_BYTES of the content, the last one of less or as many; nothing is one empty piece. The
key of a file is HKDF-SHA256 of the study's key and the salt, so that nonces never meet. A nonce tells the number of the
piece and whether it is the last: none can be left out, moved or cut off ("STREAM": Hoang, Reyhanitabar, Rogaway, Vizar,
Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance, CRYPTO 2015; keys as in Tink's streaming AEAD).
The header and the file's name are authenticated with every piece: no file can take the place of another.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from service.domain.key_length import KEY_BYTES

MAGIC = b"Thoracle sealed\x01"
PIECE_BYTES = 1 << 20
KEY_ID_BYTES = 16
HEADER_BYTES = len(MAGIC) + KEY_ID_BYTES + 32

_TAG_BYTES = 16
_PURPOSE = b"thoracle file"


class NotWhole(OSError):
    """The bytes of a file are not those that were saved."""

    def __init__(self, name: str) -> None:
        super().__init__(f"other bytes than were saved: {name}")


@dataclass(frozen=True, slots=True)
class FileKey:
    """A key for the files of one study or of one job's results. key_id: 32 hexadecimal digits, no secret."""

    key_id: str
    secret: bytes = field(repr=False)


def key_id_of(beginning: bytes) -> str | None:
    """The id of the key of a file that begins so; None if it is not encrypted."""
    if len(beginning) < HEADER_BYTES or not beginning.startswith(MAGIC):
        return None
    return beginning[len(MAGIC) : len(MAGIC) + KEY_ID_BYTES].hex()


def encrypt(key: FileKey, name: str, content: bytes | memoryview) -> Iterator[bytes]:
    """Yields the bytes of the encrypted file. name: its relative path, under which alone it can be read."""
    header = MAGIC + bytes.fromhex(key.key_id) + os.urandom(HEADER_BYTES - len(MAGIC) - KEY_ID_BYTES)
    cipher, bound_to = _cipher(key.secret, header), header + name.encode()
    yield header
    last = max(0, (len(content) - 1) // PIECE_BYTES)
    for number in range(last + 1):
        piece = content[number * PIECE_BYTES : (number + 1) * PIECE_BYTES]
        yield cipher.encrypt(_nonce(number, number == last), piece, bound_to)


def decrypt(key: FileKey, name: str, file: BinaryIO) -> Iterator[bytes]:
    """Yields the content of an encrypted file, piece by piece; NotWhole if it is not what was saved under this name.

    What was yielded counts only once the end is reached without an error.
    """
    header = file.read(HEADER_BYTES)
    if key_id_of(header) != key.key_id:
        raise NotWhole(name)
    cipher, bound_to = _cipher(key.secret, header), header + name.encode()
    number, piece = 0, file.read(PIECE_BYTES + _TAG_BYTES)
    while True:
        following = file.read(PIECE_BYTES + _TAG_BYTES)
        try:
            yield cipher.decrypt(_nonce(number, not following), piece, bound_to)
        except InvalidTag as error:
            raise NotWhole(name) from error
        if not following:
            return
        number, piece = number + 1, following


def _cipher(secret: bytes, header: bytes) -> AESGCM:
    salt = header[len(MAGIC) + KEY_ID_BYTES :]
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt=salt, info=_PURPOSE).derive(secret))


def _nonce(number: int, is_last: bool) -> bytes:
    """12 bytes (NIST SP 800-38D 8.2.1)."""
    return number.to_bytes(11, "big") + bytes([is_last])
