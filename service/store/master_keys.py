"""The master key, a setting that the service never stores: it wraps the keys of files, which lie in the database."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from service.store.encrypted_file import FileKey

_NONCE_BYTES = 12
_DIGITS = 16


class NoMasterKey(OSError):
    """The master key that wrapped a key of files is not configured, or what it wrapped was changed."""


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A key of files as the database has it. wrapped: hexadecimal; master: which master key wrapped it."""

    key_id: str
    owner: str
    wrapped: str
    master: str


class MasterKeys:
    """The configured master keys: the first one wraps, all of them unwrap."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        """keys: 32 bytes each; none: nothing can be encrypted or decrypted."""
        self._keys = {_fingerprint(key): AESGCM(key) for key in keys}
        self.newest = next(iter(self._keys), None)

    def knows(self, master: str) -> bool:
        """Whether the master key of this fingerprint is configured."""
        return master in self._keys

    def wrap(self, key: FileKey, owner: str) -> Wrapped:
        """AES-256-GCM, bound to what the key is for; NoMasterKey if none is configured."""
        if self.newest is None:
            raise NoMasterKey("no master key is configured (encryption.master_key)")
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._keys[self.newest].encrypt(nonce, key.secret, _bound_to(key.key_id, owner))
        return Wrapped(key.key_id, owner, (nonce + sealed).hex(), self.newest)

    def unwrap(self, one: Wrapped) -> FileKey:
        """The key of files; NoMasterKey if it cannot be had."""
        cipher = self._keys.get(one.master)
        if cipher is None:
            raise NoMasterKey("the master key of encrypted files is not configured (encryption.master_key)")
        try:
            bytes_of = bytes.fromhex(one.wrapped)
            nonce, sealed = bytes_of[:_NONCE_BYTES], bytes_of[_NONCE_BYTES:]
            return FileKey(one.key_id, cipher.decrypt(nonce, sealed, _bound_to(one.key_id, one.owner)))
        except (InvalidTag, ValueError) as error:
            raise NoMasterKey(f"key {one.key_id} in the database is not what was written") from error


def _fingerprint(key: bytes) -> str:
    """Tells master keys apart and nothing about them: each is random."""
    return sha256(b"thoracle master key" + key).hexdigest()[:_DIGITS]


def _bound_to(key_id: str, owner: str) -> bytes:
    return f"thoracle key {key_id} {owner}".encode()
