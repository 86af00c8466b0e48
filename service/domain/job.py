"""A job: one analysis of one revision of a study, how it ended, and its result objects."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from service.domain.flags import Flag
from service.domain.job_state import Event, State
from service.domain.priority import Urgency
from service.domain.routing import StudyFacts
from service.domain.scanner import UNKNOWN
from service.errors import Refusal, ThoracleError


class NoSuchJob(ThoracleError, LookupError):
    """There is no job with this id."""


@dataclass(frozen=True, slots=True)
class Job:
    """One analysis of one revision of a study. supersedes: the older job that this one replaces.

    priority: the lowest goes first (`priority.virtual_time_s`). facts: what routing rules look at, None before the
    analysis. purged_at: when its images and results were given up. delivered_at: when all of them first were delivered.
    number: of its result among those of the study by the same pipeline, from 1; `revision` counts changes of its
    images. started_at: when the analysis began. pipeline: its name; "" if no pipeline takes the study.
    """

    job_id: str
    study_uid: str
    revision: int
    supersedes: str | None
    state: State
    created_at: datetime
    acquired_at: datetime | None
    urgency: Urgency = Urgency.ROUTINE
    priority: int = 1
    facts: StudyFacts | None = None
    purged_at: datetime | None = None
    delivered_at: datetime | None = None
    number: int = 1
    started_at: datetime | None = None
    pipeline: str = ""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One result object on disk.

    kind: "study", "measurements" and the like, or the name of a label map. path: relative to the data directory.
    style: for which destinations it was encoded; None: for all. refers_to: SOP Instance UIDs of other objects.
    """

    kind: str
    sop_class_uid: str
    sop_instance_uid: str
    path: str
    sha256: str
    style: str | None = None
    series_uid: str | None = None
    refers_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """How an analysis ended, as it is recorded: the rows of the job, and a file beside its objects.

    series_uid: the analysed series, None when every series was refused or it failed. error: why it failed.

    headline: ready for JSON, as `evidence.result` has it; None where nothing was analysed. urgent: it is to be read
    first. rank: on the worklist, 0 to 1. drift: what is watched over many studies, by name. scanner: as
    `domain.scanner` names it.
    models: that made the result, or were asked before it was refused, each with name, version, sha256 and whether it is
    a candidate. shadows: candidates that are to analyse the study too, version by model name. patient: digest by which
    the result is found for a later CT, "" if it is not to be found. compared: what became of the comparison with an
    earlier CT, as it is counted: "compared", "none", or the flag that says why not; "" if none was wanted.
    """

    series_uid: str | None = None
    refusals: Mapping[str, Sequence[Refusal]] = field(default_factory=dict)
    flags: Sequence[Flag] = ()
    headline: Mapping[str, Any] | None = None
    urgent: bool = False
    rank: float | None = None
    drift: Mapping[str, float] = field(default_factory=dict)
    scanner: str = UNKNOWN
    timings_s: Mapping[str, float] = field(default_factory=dict)
    objects: Sequence[StoredObject] = ()
    facts: StudyFacts | None = None
    models: Sequence[Mapping[str, Any]] = ()
    shadows: Mapping[str, str] = field(default_factory=dict)
    error: str = ""
    patient: str = ""
    compared: str = ""

    @property
    def event(self) -> Event:
        """What it is to the job: FAIL with an error, ANALYSE with an analysed series, else REFUSE."""
        if self.error:
            return Event.FAIL
        return Event.REFUSE if self.series_uid is None else Event.ANALYSE
