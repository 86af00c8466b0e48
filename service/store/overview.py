"""The tables as operators see them: plain mappings for the API, counts for the metrics."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.domain.delivery import Confirm
from service.domain.job_state import NOT_BEGUN, SENDING, State
from service.domain.job_words import delivery_in_words, step_in_words
from service.errors import Reason
from service.store.deliveries import NEWEST
from service.store.planning import OPEN, STORED_FOR_GOOD
from service.store.tables import deliveries, events, evidence, jobs, refusals, reviews


class Overview:
    """Reads only."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def list_jobs(
        self,
        *,
        state: str | None = None,
        study_uid: str | None = None,
        since: datetime | None = None,
        by_priority: bool = False,
        limit: int = 100,
        offset: int = 0,
    ) -> list[Mapping[str, Any]]:
        """Jobs, newest first, or in the order in which they are worked on. since: aware; created at or after."""
        order = jobs.c.priority.asc() if by_priority else jobs.c.created_at.desc()
        query = sa.select(jobs).order_by(order, jobs.c.job_id).limit(limit).offset(offset)
        if state is not None:
            query = query.where(jobs.c.state == state)
        if study_uid is not None:
            query = query.where(jobs.c.study_uid == study_uid)
        if since is not None:
            query = query.where(jobs.c.created_at >= since)
        with self._engine.begin() as connection:
            return [_job(row) for row in connection.execute(query).mappings()]

    def job(self, job_id: str) -> Mapping[str, Any] | None:
        """One job with its warnings in words, its reasons, its deliveries, its reviews, the job that superseded it, and
        the journal of its study from the first slice on."""
        with self._engine.begin() as connection:
            row = connection.execute(sa.select(jobs).where(jobs.c.job_id == job_id)).mappings().one_or_none()
            if row is None:
                return None
            newer = connection.execute(_successors(row)).scalars().first()
            why = connection.execute(
                sa.select(refusals).where(refusals.c.job_id == job_id).order_by(refusals.c.position)
            ).mappings()
            steps = connection.execute(
                sa.select(events.c.at, events.c.job_id, events.c.step, events.c.detail)
                .where(events.c.study_uid == row["study_uid"])
                .order_by(events.c.id)
            ).mappings()
            objects = connection.execute(
                sa.select(evidence).where(evidence.c.job_id == job_id).order_by(evidence.c.position)
            ).mappings()
            sent = connection.execute(
                sa.select(deliveries)
                .join(evidence, deliveries.c.sop_instance_uid == evidence.c.sop_instance_uid)
                .where(deliveries.c.job_id == job_id, evidence.c.job_id == job_id)
                .order_by(deliveries.c.destination, evidence.c.position)
            ).mappings()
            said = connection.execute(
                sa.select(reviews).where(reviews.c.job_id == job_id).order_by(reviews.c.id)
            ).mappings()
            return {
                **_job(row),
                "superseded_by": newer,
                "warnings": [flag["warning"] for flag in row["flags"]],
                "reasons": [{**_without_job(r), "sentence": Reason(r["reason"]).sentence} for r in why],
                "objects": [_without_job(o) for o in objects],
                "deliveries": [_delivery(r) for r in sent],
                "reviews": [_without_job(word) for word in said],
                "journal": [{**step, "words": step_in_words(step["step"])} for step in steps],
            }

    def jobs_by_state(self) -> dict[str, int]:
        """Number of jobs in each state that any job is in."""
        return self._counts(sa.select(jobs.c.state, sa.func.count()).group_by(jobs.c.state))

    def series_by_reason(self) -> dict[str, int]:
        """Number of series refused for each reason over all jobs; key ANALYSED: the analysed ones."""
        refused = self._counts(sa.select(refusals.c.reason, sa.func.count()).group_by(refusals.c.reason))
        analysed = sa.select(sa.literal("ANALYSED"), sa.func.count()).where(jobs.c.series_uid.is_not(None))
        return refused | self._counts(analysed)

    def waiting_since(self) -> datetime | None:
        """When the oldest job came whose analysis has not begun; None if none waits."""
        waiting = jobs.c.state.in_(NOT_BEGUN)
        with self._engine.begin() as connection:
            oldest = sa.select(jobs.c.created_at).where(waiting).order_by(jobs.c.created_at).limit(1)
            return connection.execute(oldest).scalar_one_or_none()

    def running_since(self) -> datetime | None:
        """When the analysis was begun that has gone on longest; None if nothing is analysed."""
        running = jobs.c.state == State.RUNNING
        with self._engine.begin() as connection:
            begun = sa.select(jobs.c.started_at).where(running).order_by(jobs.c.started_at).limit(1)
            return connection.execute(begun).scalar_one_or_none()

    def undelivered(self) -> dict[str, tuple[int, datetime]]:
        """By destination: objects on their way, and when the oldest was to be delivered."""
        query = (
            sa.select(deliveries.c.destination, sa.func.count(), sa.func.min(deliveries.c.planned_at))
            .join(jobs, jobs.c.job_id == deliveries.c.job_id)
            .where(jobs.c.state.in_(SENDING), NEWEST, OPEN)
            .group_by(deliveries.c.destination)
        )
        with self._engine.begin() as connection:
            return {name: (count, oldest) for name, count, oldest in connection.execute(query)}

    def last_delivered(self) -> dict[str, datetime]:
        """By destination: when an object last was delivered, as that destination confirms it."""
        at = sa.func.max(sa.case((STORED_FOR_GOOD, deliveries.c.stored_at), else_=deliveries.c.committed_at))
        query = sa.select(deliveries.c.destination, at).group_by(deliveries.c.destination).having(at.is_not(None))
        with self._engine.begin() as connection:
            return {str(name): latest for name, latest in connection.execute(query)}

    def _counts(self, query: sa.Select[str, int]) -> dict[str, int]:
        with self._engine.begin() as connection:
            return {str(key): count for key, count in connection.execute(query)}


def _successors(job: sa.RowMapping) -> sa.Select[str]:
    """Ids of the jobs that superseded a job: more than one where a study without a pipeline got several.

    That of its own pipeline comes first.
    """
    other = sa.case((jobs.c.pipeline == job["pipeline"], 0), else_=1)
    superseding = sa.select(jobs.c.job_id).where(jobs.c.supersedes == job["job_id"])
    return superseding.order_by(other, jobs.c.revision, jobs.c.pipeline)


def _job(row: sa.RowMapping) -> dict[str, Any]:
    """All columns but whose it is, and the seconds from the CT's acquisition to the delivery of its results, once
    there."""
    acquired, delivered = row["acquired_at"], row["delivered_at"]
    known = acquired is not None and delivered is not None
    flags = [flag["code"] for flag in row["flags"]]
    told = {name: value for name, value in row.items() if name != "patient"}
    return {**told, "flags": flags, "latency_s": (delivered - acquired).total_seconds() if known else None}


def _delivery(row: sa.RowMapping) -> dict[str, Any]:
    """All columns, and where it stands in words. Stored without a status, it is looked for before it counts."""
    confirm = Confirm.QUERY if row["status"] is None else row["confirm"]
    return {**_without_job(row), "words": delivery_in_words(row["state"], confirm)}


def _without_job(row: sa.RowMapping) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in ("job_id", "position", "id")}
