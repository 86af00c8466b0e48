"""What is on its way to which destination. Each method is one transaction, and tells the journal.

Whoever changes rows of a job locks the job first (`get`), or two processes wait for each other.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from service.domain.commitment import Report
from service.domain.job import (
    SENDING,
    TRANSITIONS,
    Confirm,
    Delivered,
    Event,
    IllegalTransition,
    Job,
    NoSuchJob,
    ObjectDelivery,
    OpenDelivery,
    State,
    StoredObject,
)
from service.store.job_rows import get, move, objects_of, open_again
from service.store.journal import note
from service.store.planning import OPEN, Plan, at, plan, settle, tell
from service.store.tables import commitments, deliveries, jobs

_newer = jobs.alias("newer")
NEWEST = ~sa.exists().where(_newer.c.supersedes == jobs.c.job_id)
"""Of a study's jobs: nothing of an earlier one is sent any more, not even why it was refused."""


@dataclass(frozen=True, slots=True)
class Due:
    """Something of a job is open at a destination. at_once: some of it waits for nothing."""

    job_id: str
    destination: str
    priority: int
    at_once: bool


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What a destination's word on what it stored has changed. outcomes: of each object, with the reason."""

    job: Job
    destination: str
    outcomes: Sequence[tuple[Delivered, str]]


class Deliveries:
    """The tables of deliveries and of the commitments that were asked for."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def plan(self, job_id: str, plans: Mapping[str, Plan], now: datetime) -> Job:
        """What shall go where. Planning twice is planning once."""
        with self._engine.begin() as connection:
            return plan(connection, job_id, plans, Event.DELIVER, now)

    def retry(self, job_id: str, plans: Mapping[str, Plan], by: str, now: datetime) -> Job:
        """An operator's retry of a failed or undelivered job; IllegalTransition for any other, or one superseded."""
        with self._engine.begin() as connection:
            job = open_again(connection, job_id)
            if job.state is State.FAILED:
                return move(connection, job_id, Event.RETRY, f"by {by}", error="")
            if job.state is not State.UNDELIVERED:
                raise IllegalTransition(f"job {job_id} is {job.state}: only failed and undelivered jobs can be retried")
            if not plans:
                raise IllegalTransition(f"job {job_id}: no destination is configured for it any more")
            gone = deliveries.c.destination.not_in(list(plans)) & (deliveries.c.state == Delivered.REFUSED)
            _withdraw(connection, job, gone, "no destination of it any more", now)
            _build_again(connection, job, deliveries.c.state == Delivered.REFUSED, list(plans), by, now)
            return plan(connection, job_id, plans, Event.DELIVER, now)

    def resend(self, job_id: str, plans: Mapping[str, Plan], by: str, now: datetime) -> Job:
        """An operator wants all of it sent once more; IllegalTransition for a job that has nothing to send."""
        with self._engine.begin() as connection:
            job = open_again(connection, job_id)
            _build_again(connection, job, sa.true(), list(plans), by, now)
            return plan(connection, job_id, plans, Event.RESEND, now)

    def replaced_by(self, job_id: str) -> tuple[Job, list[StoredObject]] | None:
        """The latest earlier job of the study of which anything may be at any destination, and what that is."""
        reached = (deliveries.c.state == Delivered.SENT) | (deliveries.c.attempts > 0)
        with self._engine.begin() as connection:
            earlier = get(connection, job_id).supersedes
            while earlier is not None:
                query = sa.select(deliveries.c.sop_instance_uid).where(deliveries.c.job_id == earlier, reached)
                if there := set(connection.scalars(query)):
                    objects = [o for o in objects_of(connection, earlier) if o.sop_instance_uid in there]
                    return get(connection, earlier), objects
                earlier = get(connection, earlier).supersedes
        return None

    def to_deliver(self) -> list[Due]:
        """Jobs and destinations with something open; the engine should be at each."""
        at_once = (deliveries.c.state == Delivered.BUILT) & deliveries.c.next_attempt_at.is_(None)
        pending = (
            sa.select(
                deliveries.c.job_id,
                deliveries.c.destination,
                jobs.c.priority,
                sa.func.max(sa.case((at_once, 1), else_=0)),
            )
            .join(jobs, jobs.c.job_id == deliveries.c.job_id)
            .where(jobs.c.state.in_(SENDING), NEWEST, OPEN)
            .group_by(deliveries.c.job_id, deliveries.c.destination, jobs.c.priority)
        )
        with self._engine.begin() as connection:
            return [Due(job_id, name, first, bool(now)) for job_id, name, first, now in connection.execute(pending)]

    def destinations(self, job_id: str) -> list[str]:
        """Where something of the job is open."""
        with self._engine.begin() as connection:
            query = sa.select(deliveries.c.destination).where(deliveries.c.job_id == job_id, OPEN).distinct()
            return sorted(connection.scalars(query))

    def open(self, job_id: str, destination: str) -> list[OpenDelivery]:
        """What is not settled at a destination, in the order to send it."""
        ours = (commitments.c.job_id == job_id) & (commitments.c.destination == destination)
        with self._engine.begin() as connection:
            if connection.execute(sa.select(jobs.c.job_id).where(jobs.c.job_id == job_id, NEWEST)).first() is None:
                return []
            unanswered = sa.case((commitments.c.answered_at.is_(None), 1))
            asked, asked_at = connection.execute(
                sa.select(sa.func.count(unanswered), sa.func.max(commitments.c.accepted_at)).where(
                    ours, commitments.c.accepted_at.is_not(None)
                )
            ).one()
            rows = {
                row.sop_instance_uid: row
                for row in connection.execute(sa.select(deliveries).where(at(job_id, destination), OPEN))
            }
            return [
                OpenDelivery(
                    o,
                    Delivered(row.state),
                    Confirm(row.confirm),
                    row.attempts,
                    row.planned_at,
                    row.stored_at,
                    asked,
                    asked_at,
                )
                for o in objects_of(connection, job_id)
                if (row := rows.get(o.sop_instance_uid))
            ]

    def mark_sent(self, job_id: str, destination: str) -> bool:
        """What is built goes out now: whoever looks after a kill knows that the peer may have it.

        False if it must not any more: the job was cancelled or superseded meanwhile.
        """
        with self._engine.begin() as connection:
            if get(connection, job_id).state not in SENDING:
                return False
            built = at(job_id, destination) & (deliveries.c.state == Delivered.BUILT)
            connection.execute(sa.update(deliveries).where(built).values(state=Delivered.SENT))
            return True

    def record(
        self,
        job_id: str,
        destination: str,
        attempt: Sequence[ObjectDelivery],
        now: datetime,
        next_attempt_at: datetime | None,
    ) -> Job:
        """What one attempt reached, and how the job stands then."""
        with self._engine.begin() as connection:
            get(connection, job_id)
            for outcome in attempt:
                waits = outcome.state is Delivered.BUILT
                values: dict[str, object] = {
                    "state": outcome.state,
                    "status": outcome.status,
                    "attempts": deliveries.c.attempts + 1,
                    "last_error": outcome.error,
                    "next_attempt_at": next_attempt_at if waits else None,
                }
                if outcome.state is Delivered.STORED:
                    values["stored_at"] = now
                row = at(job_id, destination) & (deliveries.c.sop_instance_uid == outcome.sop_instance_uid)
                if outcome.state is not Delivered.STORED:  # it is not tried again if it was withdrawn meanwhile
                    row &= deliveries.c.state != Delivered.WITHDRAWN
                connection.execute(sa.update(deliveries).where(row).values(**values))
            tell(connection, job_id, destination, [(o.state, o.error) for o in attempt], now)
            return settle(connection, job_id, now)

    def ask(self, job_id: str, destination: str, transaction_uid: str, now: datetime) -> None:
        """A commitment is about to be asked for; its answer may come to any of our processes."""
        with self._engine.begin() as connection:
            job = get(connection, job_id)
            connection.execute(
                sa.insert(commitments).values(
                    transaction_uid=transaction_uid, job_id=job_id, destination=destination, asked_at=now
                )
            )
            note(connection, job.study_uid, job_id, "ask for commitment", destination, now)

    def accepted(self, transaction_uid: str, now: datetime) -> None:
        """The peer will answer; one that could not be asked is no reason to ask less often."""
        with self._engine.begin() as connection:
            this = commitments.c.transaction_uid == transaction_uid
            connection.execute(sa.update(commitments).where(this).values(accepted_at=now))

    def report(
        self, report: Report, again: Mapping[str, str], refused: Mapping[str, str], now: datetime
    ) -> Confirmed | None:
        """What a peer answers for; None if it was never asked.

        again, refused: why, by SOP Instance UID, for those that are to be sent again, or that it will never keep.
        What is in none of the three stays as it is, and will be asked for again.
        """
        with self._engine.begin() as connection:
            key = commitments.c.transaction_uid == report.transaction_uid
            asked = connection.execute(sa.select(commitments).where(key)).one_or_none()
            if asked is None:
                return None
            try:
                get(connection, asked.job_id)
            except NoSuchJob:  # forgotten since
                return None
            connection.execute(sa.update(commitments).where(key).values(answered_at=now))
            return _confirm(connection, asked.job_id, asked.destination, report.committed, again, refused, now)

    def confirm(
        self, job_id: str, destination: str, there: frozenset[str], again: Mapping[str, str], now: datetime
    ) -> Confirmed:
        """What was found at the destination, and what is to be sent again because it was not."""
        with self._engine.begin() as connection:
            return _confirm(connection, job_id, destination, there, again, {}, now)

    def follow(self, job_id: str, destination: str, confirm: Confirm, now: datetime) -> Job:
        """The configuration has changed: from now on this is what makes an object delivered there."""
        with self._engine.begin() as connection:
            get(connection, job_id)
            connection.execute(sa.update(deliveries).where(at(job_id, destination)).values(confirm=confirm))
            return settle(connection, job_id, now)

    def cancel(self, job_id: str, by: str, now: datetime) -> Job:
        """An operator wants nothing more of it; IllegalTransition if there is nothing to stop.

        Notices that a destination refused are withdrawn too: else they would keep the study from being purged.
        """
        with self._engine.begin() as connection:
            job = get(connection, job_id)
            stoppable = OPEN | (deliveries.c.state == Delivered.REFUSED) if job.state is State.REFUSED else OPEN
            unconfirmed = (deliveries.c.job_id == job_id) & (deliveries.c.state == Delivered.STORED) & OPEN
            stopped = connection.execute(sa.update(deliveries).where(unconfirmed).values(confirm=Confirm.NONE)).rowcount
            stopped += _withdraw(connection, job, stoppable, "cancelled", now)
            if (job.state, Event.CANCEL) not in TRANSITIONS or (job.state is State.REFUSED and not stopped):
                raise IllegalTransition(f"job {job_id} is {job.state}, and nothing of it is on its way")
            return move(connection, job_id, Event.CANCEL, f"by {by}")

    def give_up(self, job_id: str, destination: str, why: str, now: datetime) -> Job:
        """The time for trying is over: what is open there is refused."""
        with self._engine.begin() as connection:
            get(connection, job_id)
            rows = at(job_id, destination) & OPEN
            ended = connection.execute(
                sa.update(deliveries).where(rows).values(state=Delivered.REFUSED, last_error=why, next_attempt_at=None)
            )
            tell(connection, job_id, destination, [(Delivered.REFUSED, why)] * ended.rowcount, now)
            return settle(connection, job_id, now)


def _build_again(
    connection: sa.Connection,
    job: Job,
    which: sa.ColumnElement[bool],
    destinations: Sequence[str],
    by: str,
    now: datetime,
) -> None:
    """Commitments that were asked for before count no more: what is stored again has to be kept again."""
    own = (deliveries.c.job_id == job.job_id) & deliveries.c.destination.in_(destinations)
    values = {"state": Delivered.BUILT, "planned_at": now, "next_attempt_at": None}
    connection.execute(sa.update(deliveries).where(own, which).values(**values))
    asked = (commitments.c.job_id == job.job_id) & commitments.c.destination.in_(destinations)
    connection.execute(sa.delete(commitments).where(asked))
    note(connection, job.study_uid, job.job_id, "send again", f"by {by}", now)


def _withdraw(connection: sa.Connection, job: Job, which: sa.ColumnElement[bool], why: str, now: datetime) -> int:
    """How many objects. One in flight may have arrived: that attempt counts."""
    own = (deliveries.c.job_id == job.job_id) & which
    counts = connection.execute(
        sa.select(deliveries.c.destination, sa.func.count()).where(own).group_by(deliveries.c.destination)
    ).all()
    in_flight = sa.case((deliveries.c.state == Delivered.SENT, 1), else_=0)
    values = {"state": Delivered.WITHDRAWN, "attempts": deliveries.c.attempts + in_flight, "next_attempt_at": None}
    connection.execute(sa.update(deliveries).where(own).values(**values))
    for destination, count in counts:
        tell(connection, job.job_id, destination, [(Delivered.WITHDRAWN, why)] * count, now)
    return sum(count for _, count in counts)


def _confirm(
    connection: sa.Connection,
    job_id: str,
    destination: str,
    there: frozenset[str],
    again: Mapping[str, str],
    refused: Mapping[str, str],
    now: datetime,
) -> Confirmed:
    get(connection, job_id)
    stored = at(job_id, destination) & (deliveries.c.state == Delivered.STORED) & OPEN
    outcomes: list[tuple[Delivered, str]] = []
    for uid in connection.scalars(sa.select(deliveries.c.sop_instance_uid).where(stored)).all():
        this = stored & (deliveries.c.sop_instance_uid == uid)
        if uid in there:
            values: dict[str, object] = {"state": Delivered.COMMITTED, "committed_at": now, "last_error": ""}
        elif uid in again:
            values = {"state": Delivered.BUILT, "last_error": again[uid]}
        elif uid in refused:
            values = {"state": Delivered.REFUSED, "last_error": refused[uid]}
        else:
            continue
        connection.execute(sa.update(deliveries).where(this).values(**values))
        outcomes.append((Delivered(str(values["state"])), str(values["last_error"])))
    tell(connection, job_id, destination, outcomes, now)
    return Confirmed(settle(connection, job_id, now), destination, outcomes)
