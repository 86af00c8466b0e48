"""A study becomes a job, and the latest job of the study is superseded. Inside somebody's transaction."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.domain.arrival import is_other_image
from service.domain.completion import StudyState, job_id
from service.domain.job_state import Event, State, is_possible
from service.domain.priority import Urgency, most_urgent, virtual_time_s
from service.store.job_rows import get, move
from service.store.journal import note
from service.store.tables import instances, jobs, series, studies


def locked_study(connection: sa.Connection, study_uid: str) -> StudyState:
    """Returns the study as it is now, its row locked for this transaction."""
    this = sa.select(studies).where(studies.c.study_uid == study_uid).with_for_update()
    return state_of(connection.execute(this).one())


def new_job(
    connection: sa.Connection, study: StudyState, revision: int, urgency: Urgency, now: datetime, why: str = ""
) -> str:
    """Create the job of what is there of a study; returns its id. urgency: of the sender. why: for the journal."""
    study_uid, urgency = study.study_uid, most_urgent(study.urgency, urgency)
    new = job_id(study_uid, revision, ct_digests(connection, study_uid))
    connection.execute(
        sa.insert(jobs).values(
            job_id=new,
            study_uid=study_uid,
            revision=revision,
            number=_next_number(connection, study_uid),
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


def _next_number(connection: sa.Connection, study_uid: str) -> int:
    latest = sa.select(sa.func.max(jobs.c.number)).where(jobs.c.study_uid == study_uid)
    return 1 + (connection.execute(latest).scalar_one() or 0)


def _supersede_latest(connection: sa.Connection, study_uid: str) -> str | None:
    """Supersede the study's latest job, unless all its results were delivered or it has ended; returns its id."""
    latest = connection.execute(
        sa.select(jobs.c.job_id)
        .where(jobs.c.study_uid == study_uid)
        .order_by(jobs.c.revision.desc())
        .limit(1)
        .with_for_update()
    ).scalar_one_or_none()
    if latest is not None and is_possible(get(connection, latest).state, Event.SUPERSEDE):
        move(connection, latest, Event.SUPERSEDE, "by a newer job of the study")
    return latest


def ct_digests(connection: sa.Connection, study_uid: str) -> list[str]:
    """Returns the SHA-256 of each current CT image of a study."""
    current_ct = instances.c.replaced_at.is_(None) & instances.c.ignored.is_(None)
    return list(connection.scalars(sa.select(instances.c.sha256).where(instances.c.study_uid == study_uid, current_ct)))


def has_images(connection: sa.Connection, study_uid: str) -> bool:
    """Returns whether anything is there that gets a study a job."""
    this = (instances.c.study_uid == study_uid) & instances.c.replaced_at.is_(None)
    kinds = connection.execute(sa.select(instances.c.sop_class_uid, instances.c.ignored).where(this).distinct())
    return any(kind.ignored is None or is_other_image(kind.sop_class_uid) for kind in kinds)


def _acquired_at(connection: sa.Connection, study_uid: str) -> datetime | None:
    """Returns when the latest CT series of the study was acquired."""
    ct = sa.select(instances.c.series_uid).where(instances.c.study_uid == study_uid, instances.c.ignored.is_(None))
    latest = sa.select(sa.func.max(series.c.acquired_at)).where(
        series.c.study_uid == study_uid, series.c.series_uid.in_(ct)
    )
    acquired: datetime | None = connection.execute(latest).scalar_one()
    return acquired


def state_of(row: sa.Row[Any]) -> StudyState:
    """Returns the state of a study from its row."""
    return StudyState(
        row.study_uid, row.calling_ae, row.revision, row.job_revision, row.last_ct_at, Urgency(row.urgency)
    )
