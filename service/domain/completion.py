"""When a study is complete. The clock is an argument; the state lives in the database.

The unit is the study: the best of its series is analysed, so every series must have come. It is due when no CT image
of any of its series came for the sender's quiet period, and something changed since its last job.
"""

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from service.domain.priority import Urgency


@dataclass(frozen=True, slots=True)
class StudyState:
    """revision: rises with every new or changed CT image; job_revision: the one of the latest job, 0 without."""

    study_uid: str
    calling_ae: str
    revision: int
    job_revision: int
    last_ct_at: datetime
    urgency: Urgency = Urgency.ROUTINE


def due(study: StudyState, now: datetime, quiet_s: float) -> bool:
    """Is it time for a job?"""
    quiet_for_s = (now - study.last_ct_at).total_seconds()
    return study.revision > study.job_revision and quiet_for_s >= quiet_s


def job_id(study_uid: str, revision: int, digests: list[str]) -> str:
    """A name for the job of exactly these CT images (SHA-256 of each file), the same wherever it is computed."""
    return sha256("\n".join([study_uid, str(revision), *sorted(digests)]).encode()).hexdigest()[:16]
