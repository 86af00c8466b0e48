"""Plans the deliveries of a job, and ends the job when all are settled, in the caller's transaction.

A job ends when nothing is open any more at any destination: delivered, or undelivered if anything is not there.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

import sqlalchemy as sa

from service.domain.delivery import Confirm
from service.domain.delivery_state import NOT_THERE, UNDER_WAY, Delivered
from service.domain.job import Job
from service.domain.job_state import Event, State
from service.store.job_rows import get, move
from service.store.journal import note
from service.store.tables import deliveries

STORED_FOR_GOOD = (
    (deliveries.c.state == Delivered.STORED)
    & (deliveries.c.confirm == Confirm.NONE)
    & deliveries.c.status.is_not(None)  # else the destination took it in words that nobody understood
)
OPEN = deliveries.c.state.in_(UNDER_WAY) & ~STORED_FOR_GOOD


@dataclass(frozen=True, slots=True)
class Plan:
    """What one destination gets. objects: SOP Instance UIDs."""

    objects: Sequence[str]
    confirm: Confirm


NOWHERE: Mapping[str, Plan] = MappingProxyType({})


def begin(connection: sa.Connection, job_id: str, plans: Mapping[str, Plan], event: Event, now: datetime) -> Job:
    """Write down the deliveries that are planned, and let the event happen to the job. Twice is once."""
    told = insert(connection, get(connection, job_id), plans, now)
    job = move(connection, job_id, event)
    if told:
        note(connection, job.study_uid, job_id, Delivered.BUILT, ", ".join(told), now)
    return settle(connection, job_id, now)


def insert(connection: sa.Connection, job: Job, plans: Mapping[str, Plan], now: datetime) -> list[str]:
    """Add what is not planned yet; how many objects for which destination, in words."""
    own = deliveries.c.job_id == job.job_id
    known = set(connection.execute(sa.select(deliveries.c.destination, deliveries.c.sop_instance_uid).where(own)))
    told = []
    for destination, plan in plans.items():
        new = [uid for uid in plan.objects if (destination, uid) not in known]
        if new:
            rows = [_row(job.job_id, destination, uid, plan.confirm, now) for uid in new]
            connection.execute(sa.insert(deliveries), rows)
            told.append(f"{len(new)} objects for {destination}")
        connection.execute(sa.update(deliveries).where(at(job.job_id, destination)).values(confirm=plan.confirm))
    return told


def settle(connection: sa.Connection, job_id: str, now: datetime) -> Job:
    """When nothing is open at any destination, the job ends."""
    job = get(connection, job_id)
    own = deliveries.c.job_id == job_id
    if job.state is not State.DELIVERING or connection.execute(sa.select(deliveries.c.job_id).where(own, OPEN)).first():
        return job
    missing = connection.execute(sa.select(deliveries.c.job_id).where(own, deliveries.c.state.in_(NOT_THERE)))
    if missing.first():
        return move(connection, job_id, Event.GIVE_UP)
    return move(connection, job_id, Event.COMPLETE, delivered_at=job.delivered_at or now)


def tell(
    connection: sa.Connection,
    job_id: str,
    destination: str,
    outcomes: Sequence[tuple[Delivered, str]],
    now: datetime,
) -> None:
    """One entry for each kind of outcome."""
    study_uid = get(connection, job_id).study_uid
    for state, error in dict.fromkeys(outcomes):
        count = outcomes.count((state, error))
        detail = f"{count} objects at {destination}" + (f": {error}" if error else "")
        note(connection, study_uid, job_id, state, detail, now)


def at(job_id: str, destination: str) -> sa.ColumnElement[bool]:
    return (deliveries.c.job_id == job_id) & (deliveries.c.destination == destination)


def _row(job_id: str, destination: str, sop_instance_uid: str, confirm: Confirm, now: datetime) -> dict[str, object]:
    return {
        "job_id": job_id,
        "destination": destination,
        "sop_instance_uid": sop_instance_uid,
        "state": Delivered.BUILT,
        "confirm": confirm,
        "attempts": 0,
        "last_error": "",
        "planned_at": now,
    }
