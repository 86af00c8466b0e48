"""Decides when a study is complete. The clock is an argument; the state lives in the database.

The unit is the study: the best of its series is analysed, so every series must have come. It is due when no CT image
of any of its series came for the sender's quiet period, and something changed since its last job. A study of images
that are no CT is due once, in the same way: its job is refused by name.

How long a study has been quiet is measured by a clock that nobody sets (monotonic): a wall clock set forward would end
the quiet period of a study whose slices still come, set back it would prolong it by hours.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256

from service.domain.priority import Urgency


@dataclass(frozen=True, slots=True)
class StudyState:
    """revision: rises with every new or changed CT image; job_revision: the one of the latest job, 0 without.

    last_ct_at: of a study that has had no CT image, when the last other image came.
    """

    study_uid: str
    calling_ae: str
    revision: int
    job_revision: int
    last_ct_at: datetime
    urgency: Urgency = Urgency.ROUTINE


@dataclass(frozen=True, slots=True)
class SenderRules:
    """What the settings say about studies.

    quiet_s, urgency: by calling AE title; after so much silence a study is complete. pipelines: names of those that
    are to analyse a study, by its UID; OSError if its images cannot be looked at now. every: all that are configured.
    """

    quiet_s: Callable[[str], float]
    urgency: Callable[[str], Urgency]
    pipelines: Callable[[str], Sequence[str]]
    every: Sequence[str]


def due(study: StudyState, quiet_for_s: float, quiet_s: float) -> bool:
    """Returns whether it is time for a job. quiet_for_s: how long nothing has come; quiet_s: how long is enough."""
    return study.revision > study.job_revision and quiet_for_s >= quiet_s


def quiet_by_wall_clock(studies: Iterable[StudyState], now: datetime) -> dict[str, float]:
    """Returns for how many seconds each study has been quiet, by Study Instance UID, as the database tells.

    A time in the future counts as now: the clock was set back.
    """
    return {study.study_uid: max(0.0, (now - study.last_ct_at).total_seconds()) for study in studies}


class Silence:
    """Measures for how long each study has been quiet, over repeated calls of `look`.

    The first look believes the database, so that a restart forgets nothing. After it only what was seen counts: a study
    that changed since the last look has changed now, whatever the wall clock says. Time in which nobody could receive
    its images is no silence (`begin_anew`).
    """

    def __init__(self) -> None:
        self._since: dict[StudyState, float] | None = None

    def begin_anew(self) -> None:
        """From the next look on, every study has been quiet for no time."""
        self._since = {}

    def look(self, studies: Sequence[StudyState], now: datetime, monotonic_s: float) -> dict[str, float]:
        """Seconds for which each has been quiet. monotonic_s: of a clock that never jumps."""
        believed_s = quiet_by_wall_clock(studies, now) if self._since is None else {}
        before = self._since or {}
        self._since = {s: before.get(s, monotonic_s - believed_s.get(s.study_uid, 0.0)) for s in studies}
        return {study.study_uid: monotonic_s - since for study, since in self._since.items()}


def job_id(study_uid: str, revision: int, digests: list[str], pipeline: str) -> str:
    """A name for one pipeline's job on exactly these CT images (SHA-256 of each file), the same on every host.

    pipeline: its name; "" gives the name that jobs had while there was one pipeline.
    """
    named = [pipeline] if pipeline else []
    return sha256("\n".join([study_uid, str(revision), *named, *sorted(digests)]).encode()).hexdigest()[:16]
