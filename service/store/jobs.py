"""The jobs: their states and results. Each method is one transaction, and tells the journal.

The table is also the outbox of the durable engine: `created` jobs are queued there (twice is one), then marked.
What is on its way to destinations is in `deliveries`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from service.domain.flags import Flag
from service.domain.job import Job, Result, StoredObject
from service.domain.job_state import NOT_ANALYSED, Event, State, advance
from service.domain.priority import after_analysis, virtual_time_s
from service.domain.routing import StudyFacts
from service.store.job_rows import get, move, objects_of
from service.store.planning import NOWHERE, Plan, begin
from service.store.purged_jobs import first_with
from service.store.shadows import plan_shadows
from service.store.tables import UtcDateTime, evidence, jobs, refusals


class Jobs:
    """The tables of jobs."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def to_enqueue(self) -> list[tuple[str, int]]:
        """Jobs that the engine may not know yet, with their priority, oldest first."""
        return self._in_states(State.CREATED)

    def mark_queued(self, job_id: str) -> None:
        """The engine has it; nothing changes for a job that a worker has already begun."""
        with self._engine.begin() as connection:
            created = (jobs.c.job_id == job_id) & (jobs.c.state == State.CREATED)
            connection.execute(sa.update(jobs).where(created).values(state=advance(State.CREATED, Event.QUEUE)))

    def to_analyse(self) -> list[tuple[str, int]]:
        """Jobs whose analysis is not done, with their priority, oldest first; the engine should be at each."""
        return self._in_states(*NOT_ANALYSED)

    def get(self, job_id: str) -> Job:
        """NoSuchJob if there is none."""
        with self._engine.begin() as connection:
            return get(connection, job_id)

    def is_superseded(self, job_id: str) -> bool:
        """Returns whether a newer job of the study replaces it."""
        with self._engine.begin() as connection:
            return connection.execute(sa.select(jobs.c.job_id).where(jobs.c.supersedes == job_id)).first() is not None

    def start(self, job_id: str, now: datetime) -> Job:
        """A worker begins, or begins again; IllegalTransition if the job has ended or was superseded.

        A run after a kill keeps the time of the first: it is in the bytes of the results, which may be kept already.
        """
        killed = (jobs.c.state == State.RUNNING) & jobs.c.started_at.is_not(None)
        at = sa.case((killed, jobs.c.started_at), else_=sa.literal(now, UtcDateTime()))
        return self._move(job_id, Event.START, started_at=at)

    def retry(self, job_id: str, error: str) -> Job:
        """The analysis will be tried again."""
        return self._move(job_id, Event.RETRY, error, error=error)

    def finish(self, job_id: str, result: Result, now: datetime, plans: Mapping[str, Plan] = NOWHERE) -> Job:
        """The analysis ended, and what goes where is known at the same moment.

        The very objects of an earlier job are one result: they keep its number and time.
        """
        with self._engine.begin() as connection:
            job = get(connection, job_id)
            urgency = after_analysis(job.urgency, result.urgent)
            _insert(connection, refusals, _refusal_rows(job_id, result))
            _insert(connection, evidence, _evidence_rows(job_id, result.objects))
            move(
                connection,
                job_id,
                result.event,
                result.error or ", ".join(sorted({r.reason for rs in result.refusals.values() for r in rs})),
                finished_at=now,
                series_uid=result.series_uid,
                headline=result.headline and dict(result.headline),
                urgency=urgency,
                rank=result.rank,
                priority=virtual_time_s(job.created_at, urgency, result.rank),
                flags=[_flag_row(flag) for flag in result.flags],
                timings_s=dict(result.timings_s),
                facts=_facts_row(result.facts),
                models=[dict(model) for model in result.models],
                error=result.error,
                patient=result.patient or None,
                **first_with(connection, job_id, {o.sop_instance_uid for o in result.objects}),
            )
            plan_shadows(connection, job_id, result.shadows, now)
            return begin(connection, job_id, plans, Event.DELIVER, now) if plans else get(connection, job_id)

    def objects(self, job_id: str) -> list[StoredObject]:
        """The results of a job."""
        with self._engine.begin() as connection:
            return objects_of(connection, job_id)

    def _in_states(self, *states: State) -> list[tuple[str, int]]:
        query = sa.select(jobs.c.job_id, jobs.c.priority).where(jobs.c.state.in_(states)).order_by(jobs.c.created_at)
        with self._engine.begin() as connection:
            return [(job_id, priority) for job_id, priority in connection.execute(query)]

    def _move(self, job_id: str, event: Event, detail: str = "", **values: object) -> Job:
        with self._engine.begin() as connection:
            return move(connection, job_id, event, detail, **values)


def _flag_row(flag: Flag) -> dict[str, str]:
    return {"code": flag.code, "warning": flag.warning}


def _facts_row(facts: StudyFacts | None) -> dict[str, Any] | None:
    return asdict(facts) | {"received_at": facts.received_at.isoformat()} if facts else None


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
        {"job_id": job_id, "position": n, **asdict(o), "refers_to": list(o.refers_to) or None}
        for n, o in enumerate(objects)
    ]
