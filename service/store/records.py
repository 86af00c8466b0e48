"""Records received files; finds studies changed since their last job (`job_creation` makes the next one)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.domain.arrival import Arrival, is_other_image
from service.domain.completion import StudyState, job_id
from service.domain.job import Job
from service.domain.job_state import IllegalTransition
from service.domain.priority import Urgency, most_urgent
from service.store.engine import durable
from service.store.intake import IsThere, Recorded, intake, is_given_up
from service.store.job_creation import NewJobs, cancel_others, ct_digests, has_images, locked_study, state_of
from service.store.job_rows import lock_jobs
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
        is_there: IsThere,
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
            return [state_of(row) for row in connection.execute(changed)]

    def create_jobs(self, study: StudyState, pipelines: Sequence[str], urgency: Urgency, now: datetime) -> list[str]:
        """Create the jobs of a complete study, one for each pipeline; returns their ids.

        Empty, and nothing is done, if anything came for the study since it was looked at: it is not complete.
        pipelines: their names; without any the study gets a job that is refused by name. urgency: of its sender; the
        study's own counts if it is higher.
        """
        with self._engine.begin() as connection:
            if locked_study(connection, study.study_uid) != study:
                return []
            cancel_others(connection, study.study_uid, pipelines, now)
            new = NewJobs(study, study.revision, most_urgent(study.urgency, urgency), now)
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
            digests = ct_digests(connection, job.study_uid)
            now = {job_id(job.study_uid, revision, digests, pipeline) for pipeline in (job.pipeline, "")}
            return earlier if earlier in now else None

    def create_job_again(self, study_uid: str, pipeline: str, by: str, now: datetime) -> str:
        """A new job of one pipeline on what is there of a study, changed or not, because `by` wants it; its id.

        IllegalTransition if its images were purged, or changed since the latest jobs: every pipeline gets a new job
        when the study is complete.
        """
        with self._engine.begin() as connection:
            study = _reopened(connection, study_uid)
            new = NewJobs(study, study.revision + 1, study.urgency, now, f", wanted by {by}")
            return new.create(connection, pipeline)

    def choose_again(self, job: Job, by: str, now: datetime) -> None:
        """Let the rules of now choose the pipelines of a study that none took; IllegalTransition as above."""
        with self._engine.begin() as connection:
            study = _reopened(connection, job.study_uid)
            this = studies.c.study_uid == job.study_uid
            connection.execute(sa.update(studies).where(this).values(revision=study.revision + 1))
            note(connection, job.study_uid, job.job_id, "choose again", f"by {by}", now)


def _reopened(connection: sa.Connection, study_uid: str) -> StudyState:
    """The study, its row locked; IllegalTransition if nobody can have a new job of it now."""
    study = locked_study(connection, study_uid)
    lock_jobs(connection, study_uid)
    if not has_images(connection, study_uid):
        raise IllegalTransition("the images of the study were purged: send the study again")
    if study.revision > study.job_revision:
        why = "images of the study came since, or its pipelines are chosen again"
        raise IllegalTransition(f"{why}: it gets new jobs as soon as it is complete")
    return study


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
