"""The journal: what happened to a study, step by step, for the people who have to answer for it.

An entry is written in the transaction of what it tells. Details hold names of destinations, counts and reasons, never
patient data.
"""

from datetime import UTC, datetime

import sqlalchemy as sa

from service.store.tables import events


def note(
    connection: sa.Connection,
    study_uid: str,
    job_id: str | None,
    step: str,
    detail: str = "",
    at: datetime | None = None,
) -> None:
    """Add one entry."""
    row = {"study_uid": study_uid, "job_id": job_id, "step": step, "detail": detail, "at": at or datetime.now(UTC)}
    connection.execute(sa.insert(events).values(row))
