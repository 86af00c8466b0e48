"""Rows of the jobs table, read and changed inside somebody's transaction."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.domain.job import Job, NoSuchJob, StoredObject
from service.domain.job_state import Event, IllegalTransition, State, advance
from service.domain.priority import Urgency
from service.domain.routing import StudyFacts
from service.store.journal import note
from service.store.tables import evidence, jobs

_SILENT = (Event.QUEUE, Event.DELIVER)
"""Not worth an entry in the journal: another one tells of it."""


def get(connection: sa.Connection, job_id: str) -> Job:
    """The job, its row locked for this transaction; NoSuchJob if there is none."""
    row = connection.execute(sa.select(jobs).where(jobs.c.job_id == job_id).with_for_update()).one_or_none()
    if row is None:
        raise NoSuchJob(f"there is no job {job_id}")
    return Job(
        row.job_id,
        row.study_uid,
        row.revision,
        row.supersedes,
        State(row.state),
        row.created_at,
        row.acquired_at,
        Urgency(row.urgency),
        row.priority,
        _facts(row.facts),
        row.purged_at,
        row.delivered_at,
        row.number,
        row.started_at,
        row.pipeline,
    )


def lock_jobs(connection: sa.Connection, study_uid: str) -> Sequence[str]:
    """All jobs of a study, before anything of them is changed, the newest first; their ids.

    In another order two transactions may wait for each other.
    """
    newest_first = sa.select(jobs.c.job_id).where(jobs.c.study_uid == study_uid)
    newest_first = newest_first.order_by(jobs.c.revision.desc(), jobs.c.job_id)
    return connection.scalars(newest_first.with_for_update()).all()


def move(connection: sa.Connection, job_id: str, event: Event, detail: str = "", **values: object) -> Job:
    """The job after the event; IllegalTransition where the table has none. values: of its columns."""
    job = get(connection, job_id)
    state = advance(job.state, event)
    connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(state=state, **values))
    if event not in _SILENT:
        note(connection, job.study_uid, job_id, event, detail)
    return get(connection, job_id)


def open_again(connection: sa.Connection, job_id: str) -> Job:
    """The job, if an operator may still do something with it; IllegalTransition if it was superseded or purged."""
    job = get(connection, job_id)
    if job.purged_at is not None:
        raise IllegalTransition(purged(job_id, job.purged_at))
    if connection.execute(sa.select(jobs.c.job_id).where(jobs.c.supersedes == job_id)).first():
        raise IllegalTransition(f"job {job_id} was superseded by a newer one")
    return job


def purged(job_id: str, at: datetime) -> str:
    """Why nothing can be done with a job any more."""
    return f"the images and results of job {job_id} were purged on {at:%Y-%m-%d}: send the study again"


def objects_of(connection: sa.Connection, job_id: str) -> list[StoredObject]:
    """The results of a job, in the order to send them."""
    rows = connection.execute(sa.select(evidence).where(evidence.c.job_id == job_id).order_by(evidence.c.position))
    return [
        StoredObject(
            *(r.kind, r.sop_class_uid, r.sop_instance_uid, r.path, r.sha256, r.style, r.series_uid),
            refers_to=tuple(r.refers_to or ()),
        )
        for r in rows
    ]


def _facts(row: Mapping[str, Any] | None) -> StudyFacts | None:
    if row is None:
        return None
    known: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in row.items()}
    return StudyFacts(**known | {"received_at": datetime.fromisoformat(row["received_at"])})
