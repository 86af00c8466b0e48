"""What was received, and which studies are due for a job."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.domain.arrival import Arrival, is_other_image
from service.domain.completion import StudyState, job_id
from service.domain.job import Job
from service.domain.job_state import Event, IllegalTransition, State, is_possible
from service.domain.priority import Urgency, most_urgent, virtual_time_s
from service.store.engine import durable
from service.store.intake import Recorded, intake, is_given_up
from service.store.job_rows import get, move
from service.store.journal import note
from service.store.purged_jobs import is_remainder, purged_predecessor
from service.store.tables import instances, jobs, removals, series, studies


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """One series as received. paths: current CT images; ignored: why the others take no part, one text each kind.

    other_images: paths of images of other kinds.
    """

    series_uid: str
    modality: str
    calling_ae: str
    called_ae: str
    first_received_at: datetime
    paths: tuple[str, ...]
    ignored: tuple[str, ...]
    other_images: tuple[str, ...] = ()


class Records:
    """The tables of received studies."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(
        self,
        arrival: Arrival,
        path: str,
        digest: str,
        is_there: Callable[[str], bool],
        found_at: datetime | None = None,
    ) -> Recorded:
        """Record one received file, lying at `path`. digest: SHA-256 of the file, in hex.

        is_there: asked where a purge may have removed the file. GONE if it has: save it, and record it, once more.
        found_at: when it was found in the spool, if it is not from a sender now.
        """
        with self._engine.begin() as connection:
            if not is_given_up(connection, path):
                return intake(connection, arrival, path, digest, is_there, found_at)
        # The purge's list survives a power cut, and the spool does not give back that the file was taken off it.
        with durable(self._engine) as connection:
            return intake(connection, arrival, path, digest, is_there, found_at)

    def paths(self) -> set[str]:
        """Paths of all recorded files, replaced ones and those that are to be removed too."""
        known = sa.union_all(sa.select(instances.c.path), sa.select(removals.c.path))
        with self._engine.begin() as connection:
            return set(connection.scalars(known))

    def open_studies(self) -> list[StudyState]:
        """Returns the studies that have changed since their last job."""
        changed = sa.select(studies).where(studies.c.revision > studies.c.job_revision)
        with self._engine.begin() as connection:
            return [_state(row) for row in connection.execute(changed)]

    def create_jobs(self, study: StudyState, pipelines: Sequence[str], urgency: Urgency, now: datetime) -> list[str]:
        """Create the jobs of a complete study, one for each pipeline; returns their ids.

        None, and nothing is done, if anything came for the study since it was looked at: it is not complete.
        pipelines: their names; without any the study gets a job that is refused by name. urgency: of its sender; the
        study's own counts if it is higher.
        """
        with self._engine.begin() as connection:
            if _locked(connection, study.study_uid) != study:
                return []
            _cancel_others(connection, study.study_uid, pipelines)
            new = _NewJobs(study, study.revision, most_urgent(study.urgency, urgency), now)
            return [new.create(connection, pipeline) for pipeline in pipelines or ("",)]

    def series_of(self, study_uid: str) -> list[SeriesRecord]:
        """The series of a study with their current files, ordered by Series Instance UID."""
        with self._engine.begin() as connection:
            rows = connection.execute(sa.select(series).where(series.c.study_uid == study_uid)).all()
            files = connection.execute(
                sa.select(instances)
                .where(instances.c.study_uid == study_uid, instances.c.replaced_at.is_(None))
                .order_by(instances.c.path)
            ).all()
        return [_series_record(row, files) for row in sorted(rows, key=lambda r: r.series_uid)]

    def is_remainder(self, job_id: str) -> bool:
        """Whether the job sees only what came after a purge, and no job of the study was analysed since."""
        with self._engine.begin() as connection:
            return is_remainder(connection, job_id)

    def same_again(self, job: Job) -> str | None:
        """The job whose results the destinations have, if it was purged and exactly its images are there again."""
        with self._engine.begin() as connection:
            earlier = purged_predecessor(connection, job.job_id)
            if earlier is None:
                return None
            revision = connection.execute(sa.select(jobs.c.revision).where(jobs.c.job_id == earlier)).scalar_one()
            digests = _ct_digests(connection, job.study_uid)
            now = {job_id(job.study_uid, revision, digests, pipeline) for pipeline in (job.pipeline, "")}
            return earlier if earlier in now else None

    def create_job_again(self, study_uid: str, pipeline: str, by: str, now: datetime) -> str:
        """A new job of one pipeline on what is there of a study, changed or not, because `by` wants it; its id.

        IllegalTransition if its images were purged.
        """
        with self._engine.begin() as connection:
            study = _locked(connection, study_uid)
            if not _has_images(connection, study_uid):
                raise IllegalTransition("the images of the study were purged: send the study again")
            new = _NewJobs(study, study.revision + 1, study.urgency, now, f", wanted by {by}")
            return new.create(connection, pipeline)


def _locked(connection: sa.Connection, study_uid: str) -> StudyState:
    this = sa.select(studies).where(studies.c.study_uid == study_uid).with_for_update()
    return _state(connection.execute(this).one())


@dataclass(frozen=True, slots=True)
class _NewJobs:
    """The jobs of one revision of a study. why: of the journal's entry."""

    study: StudyState
    revision: int
    urgency: Urgency
    now: datetime
    why: str = ""

    def create(self, connection: sa.Connection, pipeline: str) -> str:
        """Create one; returns its id."""
        study_uid = self.study.study_uid
        new = job_id(study_uid, self.revision, _ct_digests(connection, study_uid), pipeline)
        row = {
            "job_id": new,
            "study_uid": study_uid,
            "revision": self.revision,
            "pipeline": pipeline,
            "number": _next_number(connection, study_uid, pipeline),
            "supersedes": _supersede_latest(connection, study_uid, pipeline),
            "state": State.CREATED,
            "urgency": self.urgency,
            "priority": virtual_time_s(self.now, self.urgency),
            "created_at": self.now,
            "acquired_at": _acquired_at(connection, study_uid),
        }
        connection.execute(sa.insert(jobs).values(row | {"flags": [], "timings_s": {}, "error": ""}))
        revisions = {"revision": self.revision, "job_revision": self.revision}
        connection.execute(sa.update(studies).where(studies.c.study_uid == study_uid).values(revisions))
        detail = f"revision {self.revision}, {pipeline or 'no pipeline takes it'}{self.why}"
        note(connection, study_uid, new, "study complete", detail, self.now)
        return new


def _next_number(connection: sa.Connection, study_uid: str, pipeline: str) -> int:
    own = (jobs.c.study_uid == study_uid) & (jobs.c.pipeline == pipeline)
    return 1 + (connection.execute(sa.select(sa.func.max(jobs.c.number)).where(own)).scalar_one() or 0)


def _supersede_latest(connection: sa.Connection, study_uid: str, pipeline: str) -> str | None:
    """The study's latest job of the pipeline. Unless all its results were delivered, none of them will be any more."""
    latest = connection.execute(
        sa.select(jobs.c.job_id)
        .where(jobs.c.study_uid == study_uid, jobs.c.pipeline == pipeline)
        .order_by(jobs.c.revision.desc())
        .limit(1)
        .with_for_update()
    ).scalar_one_or_none()
    if latest is not None and is_possible(get(connection, latest).state, Event.SUPERSEDE):
        move(connection, latest, Event.SUPERSEDE, "by a newer job of the study")
    return latest


def _cancel_others(connection: sa.Connection, study_uid: str, pipelines: Sequence[str]) -> None:
    """Of pipelines that do not take the changed study, nothing more is analysed or sent."""
    others = (jobs.c.study_uid == study_uid) & jobs.c.pipeline.not_in([*pipelines] or [""])
    newest_first = sa.select(jobs.c.job_id).where(others).order_by(jobs.c.revision.desc(), jobs.c.job_id)
    for other in connection.scalars(newest_first.with_for_update()).all():
        if get(connection, other).state is not State.REFUSED and is_possible(
            get(connection, other).state, Event.CANCEL
        ):
            move(connection, other, Event.CANCEL, "its pipeline does not take the changed study")


def _ct_digests(connection: sa.Connection, study_uid: str) -> list[str]:
    current_ct = instances.c.replaced_at.is_(None) & instances.c.ignored.is_(None)
    return list(connection.scalars(sa.select(instances.c.sha256).where(instances.c.study_uid == study_uid, current_ct)))


def _has_images(connection: sa.Connection, study_uid: str) -> bool:
    """Whether anything is there that gets a study a job."""
    this = (instances.c.study_uid == study_uid) & instances.c.replaced_at.is_(None)
    kinds = connection.execute(sa.select(instances.c.sop_class_uid, instances.c.ignored).where(this).distinct())
    return any(kind.ignored is None or is_other_image(kind.sop_class_uid) for kind in kinds)


def _acquired_at(connection: sa.Connection, study_uid: str) -> datetime | None:
    """Latest acquisition of the study's CT series."""
    ct = sa.select(instances.c.series_uid).where(instances.c.study_uid == study_uid, instances.c.ignored.is_(None))
    latest = sa.select(sa.func.max(series.c.acquired_at)).where(
        series.c.study_uid == study_uid, series.c.series_uid.in_(ct)
    )
    acquired: datetime | None = connection.execute(latest).scalar_one()
    return acquired


def _state(row: sa.Row[Any]) -> StudyState:
    return StudyState(
        row.study_uid, row.calling_ae, row.revision, row.job_revision, row.last_ct_at, Urgency(row.urgency)
    )


def _series_record(row: sa.Row[Any], files: Sequence[sa.Row[Any]]) -> SeriesRecord:
    own = [f for f in files if f.series_uid == row.series_uid]
    return SeriesRecord(
        row.series_uid,
        row.modality,
        row.calling_ae,
        row.called_ae,
        row.first_received_at,
        paths=tuple(f.path for f in own if f.ignored is None),
        ignored=tuple(sorted({f.ignored for f in own if f.ignored is not None})),
        other_images=tuple(f.path for f in own if is_other_image(f.sop_class_uid)),
    )
