"""Creates jobs, one for each pipeline; each supersedes the earlier (late slice), in the caller's transaction."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.domain.arrival import is_other_image
from service.domain.completion import StudyState, job_id
from service.domain.job_state import NOT_BEGUN, Event, State, is_possible
from service.domain.priority import Urgency, in_turn, virtual_time_s
from service.store.delivery_rows import stop
from service.store.job_rows import get, lock_jobs, move
from service.store.journal import note
from service.store.purged_jobs import saw_no_ct
from service.store.tables import instances, jobs, series, studies


def locked_study(connection: sa.Connection, study_uid: str) -> StudyState:
    """Returns the study as it is now, its row locked for this transaction."""
    this = sa.select(studies).where(studies.c.study_uid == study_uid).with_for_update()
    return state_of(connection.execute(this).one())


@dataclass(frozen=True, slots=True)
class NewJobs:
    """The jobs of one revision of a study. why: of the journal's entry."""

    study: StudyState
    revision: int
    urgency: Urgency
    now: datetime
    why: str = ""

    def create(self, connection: sa.Connection, pipeline: str) -> str:
        """Create one; returns its id."""
        study_uid = self.study.study_uid
        new = job_id(study_uid, self.revision, ct_digests(connection, study_uid), pipeline)
        row = {
            "job_id": new,
            "study_uid": study_uid,
            "revision": self.revision,
            "pipeline": pipeline,
            "number": _next_number(connection, study_uid, pipeline),
            "supersedes": _supersede_latest(connection, study_uid, pipeline),
            "state": State.CREATED,
            "urgency": self.urgency,
            "priority": in_turn(virtual_time_s(self.now, self.urgency), self._last(connection)),
            "created_at": self.now,
            "acquired_at": _acquired_at(connection, study_uid),
        }
        connection.execute(sa.insert(jobs).values(row | {"flags": [], "timings_s": {}, "error": ""}))
        revisions = {"revision": self.revision, "job_revision": self.revision}
        connection.execute(sa.update(studies).where(studies.c.study_uid == study_uid).values(revisions))
        detail = f"revision {self.revision}, {pipeline or 'no pipeline takes it'}{self.why}"
        note(connection, study_uid, new, "study complete", detail, self.now)
        return new

    def _last(self, connection: sa.Connection) -> int | None:
        """Virtual time of the last job that waits of another study of the same sender, with the same urgency."""
        others = (studies.c.calling_ae == self.study.calling_ae) & (studies.c.study_uid != self.study.study_uid)
        wait = jobs.c.state.in_(NOT_BEGUN) & (jobs.c.urgency == self.urgency)
        last = sa.select(sa.func.max(jobs.c.priority)).join_from(jobs, studies).where(wait, others)
        found: int | None = connection.execute(last).scalar_one()
        return found


def _next_number(connection: sa.Connection, study_uid: str, pipeline: str) -> int:
    own = (jobs.c.study_uid == study_uid) & (jobs.c.pipeline == pipeline)
    return 1 + (connection.execute(sa.select(sa.func.max(jobs.c.number)).where(own)).scalar_one() or 0)


def _supersede_latest(connection: sa.Connection, study_uid: str, pipeline: str) -> str | None:
    """The study's latest job of the pipeline. Unless all its results were delivered, none of them will be any more.

    The first job of a pipeline supersedes one that analysed nothing for want of a pipeline or of a CT.
    """
    latest = _latest(connection, study_uid, jobs.c.pipeline == pipeline)
    if latest is None:
        other = _latest(connection, study_uid, jobs.c.state == State.REFUSED)
        if other is not None and (not get(connection, other).pipeline or saw_no_ct(connection, other)):
            latest = other
    if latest is not None and is_possible(get(connection, latest).state, Event.SUPERSEDE):
        move(connection, latest, Event.SUPERSEDE, "by a newer job of the study")
    return latest


def _latest(connection: sa.Connection, study_uid: str, which: sa.ColumnElement[bool]) -> str | None:
    query = sa.select(jobs.c.job_id).where(jobs.c.study_uid == study_uid, which)
    newest = query.order_by(jobs.c.revision.desc(), jobs.c.job_id).limit(1).with_for_update()
    latest: str | None = connection.execute(newest).scalar_one_or_none()
    return latest


def cancel_others(connection: sa.Connection, study_uid: str, pipelines: Sequence[str], now: datetime) -> None:
    """Cancel the jobs of pipelines that do not take the changed study: nothing more is analysed or sent.

    Of a refused one the notices that are on their way, or wait for an operator, are withdrawn (`stop`).
    """
    why = "its pipeline does not take the changed study"
    every = [get(connection, one) for one in lock_jobs(connection, study_uid)]
    for job in (one for one in every if one.pipeline not in (pipelines or [""])):
        stop(connection, job, why, now)
        if job.state is not State.REFUSED and is_possible(job.state, Event.CANCEL):
            move(connection, job.job_id, Event.CANCEL, why)


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
