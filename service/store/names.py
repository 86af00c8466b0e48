"""Names of files in a spool: relative paths that tell the content, and nothing about the patient.

UIDs may be invalid as file names, so hashes stand for them.
"""

from hashlib import sha256
from pathlib import PurePosixPath

from service.domain.arrival import Identity

RECEIVED = "spool"
RESULTS = "results"
_DIGITS = 16


def received(identity: Identity, digest: str) -> str:
    """Name of a received file. digest: SHA-256 of its content, in hex."""
    folder = f"{RECEIVED}/{_name(identity.study_uid)}/{_name(identity.series_uid)}"
    return f"{folder}/{_name(identity.sop_instance_uid)}-{digest[:_DIGITS]}.dcm"


def telling(name: str, content: bytes) -> str:
    """The name with the content's digest in it, for `is_whole`."""
    path = PurePosixPath(name)
    return str(path.with_stem(f"{path.stem}-{_digest(content)}"))


def is_whole(name: str, content: bytes) -> bool:
    """Whether a file is what its name says."""
    return PurePosixPath(name).stem.endswith(f"-{_digest(content)}")


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:_DIGITS]


def _name(uid: str) -> str:
    return sha256(uid.encode()).hexdigest()[:32]
