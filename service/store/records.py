"""What was received, and which studies are due for a job."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.domain.arrival import Arrival
from service.domain.completion import StudyState, due, job_id
from service.domain.job import TRANSITIONS, Event, State
from service.domain.priority import Urgency, most_urgent, virtual_time_s
from service.store.intake import Recorded, intake
from service.store.journal import note
from service.store.tables import instances, jobs, series, studies

_SUPERSEDABLE = [state for state, event in TRANSITIONS if event is Event.SUPERSEDE]


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """One series as received. paths: current CT images; ignored: why the others take no part, one text each kind."""

    series_uid: str
    modality: str
    calling_ae: str
    called_ae: str
    first_received_at: datetime
    paths: tuple[str, ...]
    ignored: tuple[str, ...]


class Records:
    """The tables of received studies."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def record(self, arrival: Arrival, path: str, digest: str) -> Recorded:
        """Record one received file, lying at `path`. digest: SHA-256 of the file, in hex."""
        with self._engine.begin() as connection:
            return intake(connection, arrival, path, digest)

    def paths(self) -> set[str]:
        """Paths of all recorded files, replaced ones too."""
        with self._engine.begin() as connection:
            return set(connection.scalars(sa.select(instances.c.path)))

    def create_due_jobs(
        self,
        now: datetime,
        quiet_s_for: Callable[[str], float],
        urgency_of: Callable[[str], Urgency] = lambda _: Urgency.ROUTINE,
    ) -> list[str]:
        """Create the jobs of all studies that are complete; their ids. quiet_s_for, urgency_of: by calling AE title.

        One transaction each: a slice that comes in between is either in the job or makes a later one.
        """
        with self._engine.begin() as connection:
            open_studies = list(
                connection.execute(sa.select(studies).where(studies.c.revision > studies.c.job_revision))
            )
        candidates = [s.study_uid for s in open_studies if due(_state(s), now, quiet_s_for(s.calling_ae))]
        created = (self._create_job(uid, now, quiet_s_for, urgency_of) for uid in candidates)
        return [job for job in created if job is not None]

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

    def create_job_again(self, study_uid: str, by: str, now: datetime) -> str:
        """A new job of what is there of a study, changed or not, because `by` wants it; its id."""
        with self._engine.begin() as connection:
            study = _locked(connection, study_uid)
            return _new_job(connection, study, study.revision + 1, study.urgency, now, f", wanted by {by}")

    def _create_job(
        self,
        study_uid: str,
        now: datetime,
        quiet_s_for: Callable[[str], float],
        urgency_of: Callable[[str], Urgency],
    ) -> str | None:
        with self._engine.begin() as connection:
            study = _locked(connection, study_uid)
            if not due(study, now, quiet_s_for(study.calling_ae)):
                return None
            return _new_job(connection, study, study.revision, urgency_of(study.calling_ae), now)


def _locked(connection: sa.Connection, study_uid: str) -> StudyState:
    this = sa.select(studies).where(studies.c.study_uid == study_uid).with_for_update()
    return _state(connection.execute(this).one())


def _new_job(
    connection: sa.Connection, study: StudyState, revision: int, urgency: Urgency, now: datetime, why: str = ""
) -> str:
    study_uid, urgency = study.study_uid, most_urgent(study.urgency, urgency)
    new = job_id(study_uid, revision, _ct_digests(connection, study_uid))
    connection.execute(
        sa.insert(jobs).values(
            job_id=new,
            study_uid=study_uid,
            revision=revision,
            supersedes=_supersede_latest(connection, study_uid),
            state=State.CREATED,
            urgency=urgency,
            priority=virtual_time_s(now, urgency),
            created_at=now,
            acquired_at=_acquired_at(connection, study_uid),
            flags=[],
            timings_s={},
            error="",
        )
    )
    this = studies.c.study_uid == study_uid
    connection.execute(sa.update(studies).where(this).values(revision=revision, job_revision=revision))
    note(connection, study_uid, new, "study complete", f"revision {revision}{why}", now)
    return new


def _supersede_latest(connection: sa.Connection, study_uid: str) -> str | None:
    """The study's latest job. Unless all its results were delivered, none of them will be any more."""
    latest = connection.execute(
        sa.select(jobs.c.job_id)
        .where(jobs.c.study_uid == study_uid)
        .order_by(jobs.c.revision.desc())
        .limit(1)
        .with_for_update()
    ).scalar_one_or_none()
    if latest is not None:
        open_job = (jobs.c.job_id == latest) & jobs.c.state.in_(_SUPERSEDABLE)
        if connection.execute(sa.update(jobs).where(open_job).values(state=State.SUPERSEDED)).rowcount:
            note(connection, study_uid, latest, Event.SUPERSEDE, "by a newer job of the study")
    return latest


def _ct_digests(connection: sa.Connection, study_uid: str) -> list[str]:
    current_ct = instances.c.replaced_at.is_(None) & instances.c.ignored.is_(None)
    return list(connection.scalars(sa.select(instances.c.sha256).where(instances.c.study_uid == study_uid, current_ct)))


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
    )
