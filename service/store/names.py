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
    folder = f"{study_folder(identity.study_uid)}/{_name(identity.series_uid)}"
    return f"{folder}/{_name(identity.sop_instance_uid)}-{digest[:_DIGITS]}.dcm"


def study_folder(study_uid: str) -> str:
    """Folder of what was received of a study."""
    return f"{RECEIVED}/{_name(study_uid)}"


def results_folder(job_id: str) -> str:
    """Folder of the results of a job, or of a candidate's."""
    return f"{RESULTS}/{job_id}"


def owner(name: str) -> str:
    """Whose a file is, for its key: the folder of its study, or of its job's results."""
    return "/".join(PurePosixPath(name).parts[:2])


def telling(name: str, content: bytes) -> str:
    """The name with the content's digest in it, for `is_whole`."""
    path = PurePosixPath(name)
    return str(path.with_stem(f"{path.stem}-{_digest(content)}"))


def is_whole(name: str, content: bytes) -> bool:
    """Whether a file is what its name says."""
    return tells(name, sha256(content).hexdigest())


def tells(name: str, digest: str) -> bool:
    """Whether a name tells this content. digest: its SHA-256, in hex."""
    return PurePosixPath(name).stem.endswith(f"-{digest[:_DIGITS]}")


def _digest(content: bytes) -> str:
    return sha256(content).hexdigest()[:_DIGITS]


def _name(uid: str) -> str:
    return sha256(uid.encode()).hexdigest()[:32]
