"""The jobs: their states, results and deliveries. Each method is one transaction.

The table is also the outbox of the durable engine: `created` jobs are queued there (twice is one), then marked.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.domain.job import (
    Delivered,
    Event,
    IllegalTransition,
    Job,
    ObjectDelivery,
    Result,
    State,
    StoredObject,
    advance,
)
from service.store.tables import deliveries, evidence, jobs, refusals


class Jobs:
    """The tables of jobs."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def to_enqueue(self) -> list[str]:
        """Jobs that the engine may not know yet, oldest first."""
        with self._engine.begin() as connection:
            created = sa.select(jobs.c.job_id).where(jobs.c.state == State.CREATED).order_by(jobs.c.created_at)
            return list(connection.scalars(created))

    def mark_queued(self, job_id: str) -> None:
        """The engine has it; nothing changes for a job that a worker has already begun."""
        with self._engine.begin() as connection:
            created = (jobs.c.job_id == job_id) & (jobs.c.state == State.CREATED)
            connection.execute(sa.update(jobs).where(created).values(state=advance(State.CREATED, Event.QUEUE)))

    def to_analyse(self) -> list[str]:
        """Jobs whose analysis is not done, oldest first; the engine should be at each."""
        unfinished = jobs.c.state.in_((State.CREATED, State.QUEUED, State.RUNNING))
        with self._engine.begin() as connection:
            return list(connection.scalars(sa.select(jobs.c.job_id).where(unfinished).order_by(jobs.c.created_at)))

    def to_deliver(self) -> list[tuple[str, str]]:
        """Jobs and destinations with something still to send; the engine should be at each."""
        pending = (
            sa.select(deliveries.c.job_id, deliveries.c.destination)
            .join(jobs, jobs.c.job_id == deliveries.c.job_id)
            .where(jobs.c.state == State.DELIVERING, deliveries.c.state == Delivered.PENDING)
            .distinct()
        )
        with self._engine.begin() as connection:
            return [(job_id, destination) for job_id, destination in connection.execute(pending)]

    def reopen(self, job_id: str, destinations: Sequence[str]) -> Job:
        """An operator's retry of a failed or undelivered job; IllegalTransition for any other, or one superseded."""
        with self._engine.begin() as connection:
            job = _get(connection, job_id)
            if connection.execute(sa.select(jobs.c.job_id).where(jobs.c.supersedes == job_id)).first():
                raise IllegalTransition(f"job {job_id} was superseded by a newer one")
        if job.state is State.UNDELIVERED:
            return self.plan_deliveries(job_id, destinations)
        if job.state is not State.FAILED:
            raise IllegalTransition(f"job {job_id} is {job.state}: only failed and undelivered jobs can be retried")
        return self.retry(job_id, "")

    def get(self, job_id: str) -> Job:
        """LookupError if there is no such job."""
        with self._engine.begin() as connection:
            return _get(connection, job_id)

    def start(self, job_id: str, now: datetime) -> Job:
        """A worker begins, or begins again; IllegalTransition if the job has ended or was superseded."""
        return self._advance(job_id, Event.START, started_at=now)

    def retry(self, job_id: str, error: str) -> Job:
        """The analysis will be tried again."""
        return self._advance(job_id, Event.RETRY, error=error)

    def finish(self, job_id: str, event: Event, result: Result, now: datetime) -> Job:
        """The analysis ended: ANALYSE, REFUSE or FAIL."""
        with self._engine.begin() as connection:
            job = _advance(
                connection,
                job_id,
                event,
                finished_at=now,
                series_uid=result.series_uid,
                severity_total=result.severity_total,
                flags=list(result.flags),
                timings_s=dict(result.timings_s),
                error=result.error,
            )
            _insert(connection, refusals, _refusal_rows(job_id, result))
            _insert(connection, evidence, _evidence_rows(job_id, result.objects))
        return job

    def objects(self, job_id: str) -> list[StoredObject]:
        """The results of a job."""
        with self._engine.begin() as connection:
            return _objects(connection, job_id)

    def plan_deliveries(self, job_id: str, destinations: Sequence[str]) -> Job:
        """Every object shall go to every destination; what failed for good before is tried again."""
        with self._engine.begin() as connection:
            own = deliveries.c.job_id == job_id
            known = set(
                connection.execute(sa.select(deliveries.c.destination, deliveries.c.sop_instance_uid).where(own))
            )
            planned = [(d, o.sop_instance_uid) for d in destinations for o in _objects(connection, job_id)]
            _insert(connection, deliveries, [_delivery_row(job_id, *pair) for pair in planned if pair not in known])
            failed = own & (deliveries.c.state == Delivered.FAILED)
            connection.execute(sa.update(deliveries).where(failed).values(state=Delivered.PENDING))
            return _advance(connection, job_id, Event.DELIVER)

    def undelivered(self, job_id: str, destination: str) -> list[StoredObject]:
        """The objects that are still to be sent to a destination."""
        pending = sa.select(deliveries.c.sop_instance_uid).where(
            deliveries.c.job_id == job_id,
            deliveries.c.destination == destination,
            deliveries.c.state == Delivered.PENDING,
        )
        with self._engine.begin() as connection:
            wanted = set(connection.scalars(pending))
            return [o for o in _objects(connection, job_id) if o.sop_instance_uid in wanted]

    def record_delivery(
        self,
        job_id: str,
        destination: str,
        attempt: Sequence[ObjectDelivery],
        now: datetime,
        next_attempt_at: datetime | None,
    ) -> Job:
        """What one attempt reached. When nothing is pending at any destination, the job ends: delivered, or
        undelivered if something failed for good."""
        with self._engine.begin() as connection:
            for outcome in attempt:
                _record_outcome(connection, job_id, destination, outcome, now, next_attempt_at)
            job = _get(connection, job_id)
            states = set(connection.scalars(sa.select(deliveries.c.state).where(deliveries.c.job_id == job_id)))
            if Delivered.PENDING in states or job.state is not State.DELIVERING:
                return job
            if Delivered.FAILED in states:
                return _advance(connection, job_id, Event.GIVE_UP)
            return _advance(connection, job_id, Event.COMPLETE, delivered_at=now)

    def _advance(self, job_id: str, event: Event, **values: object) -> Job:
        with self._engine.begin() as connection:
            return _advance(connection, job_id, event, **values)


def _get(connection: sa.Connection, job_id: str) -> Job:
    row = connection.execute(sa.select(jobs).where(jobs.c.job_id == job_id).with_for_update()).one_or_none()
    if row is None:
        raise LookupError(f"there is no job {job_id}")
    return Job(
        row.job_id, row.study_uid, row.revision, row.supersedes, State(row.state), row.created_at, row.acquired_at
    )


def _advance(connection: sa.Connection, job_id: str, event: Event, **values: object) -> Job:
    state = advance(_get(connection, job_id).state, event)
    connection.execute(sa.update(jobs).where(jobs.c.job_id == job_id).values(state=state, **values))
    return _get(connection, job_id)


def _objects(connection: sa.Connection, job_id: str) -> list[StoredObject]:
    rows = connection.execute(sa.select(evidence).where(evidence.c.job_id == job_id).order_by(evidence.c.position))
    return [StoredObject(r.kind, r.sop_class_uid, r.sop_instance_uid, r.path, r.sha256) for r in rows]


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    if rows:
        connection.execute(sa.insert(table), rows)


def _refusal_rows(job_id: str, result: Result) -> list[dict[str, Any]]:
    flat = [(uid, refusal) for uid, reasons in result.refusals.items() for refusal in reasons]
    return [
        {"job_id": job_id, "position": n, "series_uid": uid, "reason": r.reason, "detail": r.detail}
        for n, (uid, r) in enumerate(flat)
    ]


def _evidence_rows(job_id: str, objects: Sequence[StoredObject]) -> list[dict[str, Any]]:
    return [
        {
            "job_id": job_id,
            "sop_instance_uid": o.sop_instance_uid,
            "position": n,
            "kind": o.kind,
            "sop_class_uid": o.sop_class_uid,
            "path": o.path,
            "sha256": o.sha256,
        }
        for n, o in enumerate(objects)
    ]


def _delivery_row(job_id: str, destination: str, sop_instance_uid: str) -> dict[str, Any]:
    return {
        "job_id": job_id,
        "destination": destination,
        "sop_instance_uid": sop_instance_uid,
        "state": Delivered.PENDING,
        "attempts": 0,
        "last_error": "",
    }


def _record_outcome(
    connection: sa.Connection,
    job_id: str,
    destination: str,
    outcome: ObjectDelivery,
    now: datetime,
    next_attempt_at: datetime | None,
) -> None:
    key = (
        (deliveries.c.job_id == job_id)
        & (deliveries.c.destination == destination)
        & (deliveries.c.sop_instance_uid == outcome.sop_instance_uid)
    )
    connection.execute(
        sa.update(deliveries)
        .where(key)
        .values(
            state=outcome.state,
            status=outcome.status,
            attempts=deliveries.c.attempts + 1,
            last_error=outcome.error,
            next_attempt_at=next_attempt_at if outcome.state is Delivered.PENDING else None,
            delivered_at=now if outcome.state is Delivered.STORED else None,
        )
    )
