"""UIDs that derive from everything the objects are made from: other bytes never get the same UID (PS3.5 Annex B)."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from pydicom.uid import UID, generate_uid


@dataclass(frozen=True, slots=True)
class Uids:
    """Gives a UID for every name; the same seed and name give the same UID."""

    seed: str

    def __call__(self, *name: str) -> UID:
        return generate_uid(entropy_srcs=["\n".join((self.seed, *name))])


def uids_of(records: Iterable[Iterable[bytes]]) -> Uids:
    """UIDs that change with any of the records (`evidence.seed`), each of which comes in parts."""
    digest = sha256()
    for record in records:
        for part in record:
            digest.update(part)
        digest.update(b"\n")
    return Uids(digest.hexdigest())
