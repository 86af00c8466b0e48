"""Deliveries of jobs to destinations, in the database. Each method is one transaction, and tells the journal.

Whoever changes rows of a job locks the job first (`get`), or two processes wait for each other.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from service.domain.commitment import Report
from service.domain.delivery import Confirm, ObjectDelivery, OpenDelivery
from service.domain.delivery_state import NOT_THERE, TO_SEND, Delivered, DeliveryEvent, advance_delivery
from service.domain.job import Job, NoSuchJob, StoredObject
from service.domain.job_state import SENDING, Event, IllegalTransition, State, is_possible
from service.store import delivery_rows as rows_of
from service.store.job_rows import get, move, objects_of, open_again
from service.store.journal import note
from service.store.planning import OPEN, Plan, at, begin, settle, tell
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


@dataclass(frozen=True, slots=True)
class Instead:
    """Objects that a destination gets in place of others. old: SOP Instance UIDs."""

    old: Collection[str]
    new: Plan
    why: str


class Deliveries:
    """The tables of deliveries and of the commitments that were asked for."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def begin(self, job_id: str, plans: Mapping[str, Plan], now: datetime) -> Job:
        """Write down the deliveries of a job that are planned. Twice is once."""
        with self._engine.begin() as connection:
            return begin(connection, job_id, plans, Event.DELIVER, now)

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
            not_there = deliveries.c.state.in_(NOT_THERE)
            gone = deliveries.c.destination.not_in(list(plans)) & not_there
            rows_of.withdraw(connection, job, gone, "no destination of it any more", now)
            rows_of.build_again(connection, job, not_there, plans, by, now)
            return begin(connection, job_id, plans, Event.DELIVER, now)

    def resend(self, job_id: str, plans: Mapping[str, Plan], by: str, now: datetime) -> Job:
        """An operator wants all of it sent once more; IllegalTransition for a job that has nothing to send."""
        with self._engine.begin() as connection:
            job = open_again(connection, job_id)
            wanted = deliveries.c.sop_instance_uid.in_([uid for one in plans.values() for uid in one.objects])
            rows_of.build_again(connection, job, wanted, plans, by, now)
            return begin(connection, job_id, plans, Event.RESEND, now)

    def replaced_by(self, job_id: str) -> tuple[Job, list[StoredObject]] | None:
        """The latest earlier job of the study of which anything may be at any destination, and what that is.

        One whose objects are the job's own is none: it is the same result.
        """
        reached = (deliveries.c.state == Delivered.SENT) | (deliveries.c.attempts > 0)
        with self._engine.begin() as connection:
            earlier = get(connection, job_id).supersedes
            own = {o.sop_instance_uid for o in objects_of(connection, job_id)}
            while earlier is not None:
                query = sa.select(deliveries.c.sop_instance_uid).where(deliveries.c.job_id == earlier, reached)
                if there := set(connection.scalars(query)) - own:
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
                    row.first_stored_at,
                    (row.sent_class_uid, row.sent_instance_uid) if row.sent_instance_uid else None,
                    row.status,
                )
                for o in objects_of(connection, job_id)
                if (row := rows.get(o.sop_instance_uid))
            ]

    def states(self, job_id: str, destination: str) -> list[tuple[StoredObject, Delivered]]:
        """Where everything of a job stands at a destination, in the order to send it."""
        query = sa.select(deliveries.c.sop_instance_uid, deliveries.c.state).where(at(job_id, destination))
        with self._engine.begin() as connection:
            states = {uid: Delivered(state) for uid, state in connection.execute(query)}
            objects = objects_of(connection, job_id)
        return [(o, states[o.sop_instance_uid]) for o in objects if o.sop_instance_uid in states]

    def mark_sent(self, job_id: str, destination: str, objects: Collection[str]) -> bool:
        """What is built of these goes out now: whoever looks after a kill knows that the peer may have it.

        False if it must not any more: the job was cancelled or superseded meanwhile.
        """
        with self._engine.begin() as connection:
            if get(connection, job_id).state not in SENDING:
                return False
            these = at(job_id, destination) & deliveries.c.sop_instance_uid.in_(objects)
            built = these & (deliveries.c.state == Delivered.BUILT)
            rows_of.change(connection, built, DeliveryEvent.SEND)
            return True

    def record(
        self,
        job_id: str,
        destination: str,
        attempt: Sequence[ObjectDelivery],
        now: datetime,
        next_attempt_at: datetime | None,
        instead: Instead | None = None,
    ) -> Job:
        """What one attempt reached, and how the job stands then. instead: what goes out in place of what else."""
        with self._engine.begin() as connection:
            job = get(connection, job_id)
            rows_of.record(connection, job_id, destination, attempt, now, next_attempt_at)
            if instead is not None:
                rows_of.replace(connection, job, destination, instead.old, instead.new, instead.why, now)
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
        self, report: Report, again: Mapping[str, str], rejected: Mapping[str, str], now: datetime
    ) -> Confirmed | None:
        """What a peer answers for; None if it was never asked.

        again, rejected: why, by the SOP Instance UID that was sent, for those that are not there, or that it will never
        keep.
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
            known = (asked.job_id, asked.destination, report.committed, again, rejected)
            job, outcomes = rows_of.confirm(connection, *known, now)
            return Confirmed(job, asked.destination, outcomes)

    def confirm(
        self, job_id: str, destination: str, there: frozenset[str], again: Mapping[str, str], now: datetime
    ) -> Confirmed:
        """What was found at the destination, and what was not and why; by the SOP Instance UID that was sent."""
        with self._engine.begin() as connection:
            job, outcomes = rows_of.confirm(connection, job_id, destination, there, again, {}, now)
            return Confirmed(job, destination, outcomes)

    def follow(self, job_id: str, destination: str, confirm: Confirm, now: datetime) -> Job:
        """The configuration has changed: from now on this is what makes an object delivered there."""
        with self._engine.begin() as connection:
            get(connection, job_id)
            connection.execute(sa.update(deliveries).where(at(job_id, destination)).values(confirm=confirm))
            return settle(connection, job_id, now)

    def cancel(self, job_id: str, by: str, now: datetime) -> Job:
        """An operator wants nothing more of it; IllegalTransition if there is nothing to stop."""
        with self._engine.begin() as connection:
            job = get(connection, job_id)
            stopped = rows_of.stop(connection, job, "cancelled", now)
            if not is_possible(job.state, Event.CANCEL) or (job.state is State.REFUSED and not stopped):
                raise IllegalTransition(f"job {job_id} is {job.state}, and nothing of it is on its way")
            return move(connection, job_id, Event.CANCEL, f"by {by}")

    def give_up(self, job_id: str, destination: str, why: str, now: datetime, only_stored: bool = False) -> Job:
        """The time for trying is over: what was stored there is unconfirmed, what else is open is rejected.

        only_stored: what is still to be sent has its own time.
        """
        with self._engine.begin() as connection:
            get(connection, job_id)
            for state in (Delivered.STORED,) if only_stored else (Delivered.STORED, *TO_SEND):
                rows = at(job_id, destination) & OPEN & (deliveries.c.state == state)
                ended = rows_of.change(connection, rows, DeliveryEvent.GIVE_UP, last_error=why, next_attempt_at=None)
                end = advance_delivery(state, DeliveryEvent.GIVE_UP)
                tell(connection, job_id, destination, [(end, why)] * ended, now)
            return settle(connection, job_id, now)
