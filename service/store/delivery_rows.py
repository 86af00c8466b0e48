"""Rows of the deliveries table, changed inside somebody's transaction, whose job is locked."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from service.domain.delivery import ABSENCES_AT_MOST, Confirm, ObjectDelivery
from service.domain.delivery_state import NOT_THERE, TO_SEND, Delivered, DeliveryEvent, advance_delivery
from service.domain.job import Job
from service.domain.job_state import State
from service.store.job_rows import get
from service.store.journal import note
from service.store.planning import OPEN, Plan, at, insert, settle, tell
from service.store.tables import UtcDateTime, commitments, deliveries

SENT_UID = sa.func.coalesce(deliveries.c.sent_instance_uid, deliveries.c.sop_instance_uid)
"""SOP Instance UID of the object that the destination got."""


_EVENTS = {
    Delivered.BUILT: DeliveryEvent.WAIT,
    Delivered.STORED: DeliveryEvent.STORE,
    Delivered.REJECTED: DeliveryEvent.REJECT,
    Delivered.WITHHELD: DeliveryEvent.WITHHOLD,
    Delivered.WITHDRAWN: DeliveryEvent.WITHDRAW,
}
"""What an attempt means for an object, by the state in which it leaves the object."""


def change(connection: sa.Connection, rows: sa.ColumnElement[bool], event: DeliveryEvent, **values: object) -> int:
    """Let something happen to rows; returns how many. IllegalTransition if it cannot happen to one of them."""
    states = connection.scalars(sa.select(deliveries.c.state).where(rows).distinct()).all()
    after = {state: advance_delivery(Delivered(state), event) for state in states}
    if not after:
        return 0
    state = sa.case(after, value=deliveries.c.state)
    return connection.execute(sa.update(deliveries).where(rows).values(state=state, **values)).rowcount


def record(
    connection: sa.Connection,
    job_id: str,
    destination: str,
    attempt: Sequence[ObjectDelivery],
    now: datetime,
    next_attempt_at: datetime | None,
) -> None:
    """Record what one attempt reached. IllegalTransition if an object meanwhile is where that cannot be."""
    for outcome in attempt:
        row = at(job_id, destination) & (deliveries.c.sop_instance_uid == outcome.sop_instance_uid)
        if outcome.state is not Delivered.STORED:  # it is not tried again if it was withdrawn meanwhile
            row &= deliveries.c.state != Delivered.WITHDRAWN
        change(connection, row, _EVENTS[outcome.state], **_values(outcome, now, next_attempt_at))
    tell(connection, job_id, destination, [(o.state, o.error) for o in attempt], now)


def build_again(
    connection: sa.Connection,
    job: Job,
    which: sa.ColumnElement[bool],
    plans: Mapping[str, Plan],
    by: str,
    now: datetime,
) -> None:
    """Everything is counted anew, and commitments that were asked for before count no more."""
    own = (deliveries.c.job_id == job.job_id) & deliveries.c.destination.in_(list(plans))
    change(connection, own & which, DeliveryEvent.BUILD_AGAIN, **_anew(now))
    asked = (commitments.c.job_id == job.job_id) & commitments.c.destination.in_(list(plans))
    connection.execute(sa.delete(commitments).where(asked))
    note(connection, job.study_uid, job.job_id, "send again", f"by {by}", now)


def withdraw(connection: sa.Connection, job: Job, which: sa.ColumnElement[bool], why: str, now: datetime) -> int:
    """How many objects. One in flight may have arrived: that attempt counts."""
    own = (deliveries.c.job_id == job.job_id) & which
    counts = connection.execute(
        sa.select(deliveries.c.destination, sa.func.count()).where(own).group_by(deliveries.c.destination)
    ).all()
    in_flight = sa.case((deliveries.c.state == Delivered.SENT, 1), else_=0)
    attempts = deliveries.c.attempts + in_flight
    change(connection, own, DeliveryEvent.WITHDRAW, attempts=attempts, next_attempt_at=None)
    for destination, count in counts:
        tell(connection, job.job_id, destination, [(Delivered.WITHDRAWN, why)] * count, now)
    return sum(count for _, count in counts)


def stop(connection: sa.Connection, job: Job, why: str, now: datetime) -> int:
    """Nothing more of a job goes anywhere; how many objects that stopped.

    What a destination stored counts as delivered, unconfirmed or not; what it does not have is withdrawn. So are a
    refused job's notices that wait for an operator: else they would keep the study from being purged.
    """
    unconfirmed = (deliveries.c.job_id == job.job_id) & (deliveries.c.state == Delivered.STORED) & OPEN
    stopped = connection.execute(sa.update(deliveries).where(unconfirmed).values(confirm=Confirm.NONE)).rowcount
    stoppable = OPEN | deliveries.c.state.in_(NOT_THERE) if job.state is State.REFUSED else OPEN
    return stopped + withdraw(connection, job, stoppable, why, now)


def replace(
    connection: sa.Connection,
    job: Job,
    destination: str,
    old: Collection[str],
    new: Plan,
    why: str,
    now: datetime,
) -> None:
    """Other objects go in place of those that are not there, whether these wait or have ended."""
    absent = deliveries.c.sop_instance_uid.in_(old) & deliveries.c.state.in_((*TO_SEND, *NOT_THERE))
    withdraw(connection, job, at(job.job_id, destination) & absent, why, now)
    again = at(job.job_id, destination) & deliveries.c.sop_instance_uid.in_(new.objects)
    change(connection, again, DeliveryEvent.BUILD_AGAIN, **_anew(now))
    insert(connection, job, {destination: new}, now)


def confirm(
    connection: sa.Connection,
    job_id: str,
    destination: str,
    there: frozenset[str],
    again: Mapping[str, str],
    rejected: Mapping[str, str],
    now: datetime,
) -> tuple[Job, list[tuple[Delivered, str]]]:
    """The job, and what became of each stored object that is in one of the three. UIDs are those that were sent.

    again: why it is not there. After ABSENCES_AT_MOST times it is not sent again: it would be absent once more.
    """
    get(connection, job_id)
    stored = at(job_id, destination) & (deliveries.c.state == Delivered.STORED) & OPEN
    outcomes: list[tuple[Delivered, str]] = []
    for row in connection.execute(sa.select(deliveries, SENT_UID.label("uid")).where(stored)).all():
        confirmed = _confirmed(row, there, again, rejected, now)
        if confirmed is not None:
            event, values = confirmed
            change(connection, stored & (deliveries.c.sop_instance_uid == row.sop_instance_uid), event, **values)
            outcomes.append((advance_delivery(Delivered.STORED, event), str(values["last_error"])))
    tell(connection, job_id, destination, outcomes, now)
    return settle(connection, job_id, now), outcomes


def _confirmed(
    row: sa.Row[tuple[object, ...]],
    there: frozenset[str],
    again: Mapping[str, str],
    rejected: Mapping[str, str],
    now: datetime,
) -> tuple[DeliveryEvent, dict[str, object]] | None:
    """Returns what happened to a row, and its new values; None where nothing is known of it."""
    if row.uid in there:
        warned = row.status is not None and row.status >> 12 == 0xB
        last_error = row.last_error if warned else ""
        return DeliveryEvent.COMMIT, {"committed_at": now, "last_error": last_error}
    if row.uid in rejected:
        return DeliveryEvent.REJECT, {"last_error": rejected[row.uid]}
    if row.uid not in again:
        return None
    absences = row.absences + 1
    if absences < ABSENCES_AT_MOST:
        return DeliveryEvent.MISS, {"absences": absences, "last_error": again[row.uid]}
    warned = f"; it changed elements when it took it (0x{row.status:04X})" if row.status == 0xB000 else ""
    why = f"{again[row.uid]}, {absences} times: the archive takes it and does not have it; it may assign other UIDs"
    return DeliveryEvent.GIVE_UP, {"absences": absences, "last_error": why + warned}


def _values(outcome: ObjectDelivery, now: datetime, next_attempt_at: datetime | None) -> dict[str, object]:
    """Returns the new values, beside its state, of the row of an object after an attempt."""
    waits = outcome.state is Delivered.BUILT
    values: dict[str, object] = {
        "last_error": outcome.error,
        "next_attempt_at": next_attempt_at if waits else None,
    }
    if outcome.tried:
        sent_class, sent_instance = outcome.sent_as or (None, None)
        values |= {"status": outcome.status, "attempts": deliveries.c.attempts + 1}
        values |= {"sent_class_uid": sent_class, "sent_instance_uid": sent_instance}
    if outcome.state is Delivered.STORED:
        first = sa.func.coalesce(deliveries.c.first_stored_at, sa.literal(now, UtcDateTime()))
        values |= {"stored_at": now, "first_stored_at": first}
    return values


def _anew(now: datetime) -> dict[str, object]:
    """Returns the values of a row whose delivery begins once more."""
    return {
        "planned_at": now,
        "next_attempt_at": None,
        "first_stored_at": None,
        "absences": 0,
        "status": None,
        "last_error": "",
    }
