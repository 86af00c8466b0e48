"""Jobs of studies that begin anew: the images of their earlier jobs were purged. Inside somebody's transaction."""

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from service.errors import Reason
from service.store.tables import deliveries, evidence, jobs, refusals


def is_remainder(connection: sa.Connection, job_id: str) -> bool:
    """Whether the job sees only what came after a purge: no job of the study was analysed since, by any pipeline.

    A purged job that saw no CT image took nothing from what can be analysed.
    """
    for earlier in _of_earlier_revisions(connection, job_id):
        if earlier.purged_at is not None:
            if saw_no_ct(connection, earlier.job_id):
                continue
            return True
        if earlier.series_uid is not None:
            return False
    return False


def saw_no_ct(connection: sa.Connection, job_id: str) -> bool:
    """Whether a job was refused because no series of its study is a CT."""
    reasons = set(connection.scalars(sa.select(refusals.c.reason).where(refusals.c.job_id == job_id)))
    return reasons == {Reason.NOT_CT}


def purged_predecessor(connection: sa.Connection, job_id: str) -> str | None:
    """The latest earlier job of which anything may be at any destination, if it was purged."""
    for earlier in _earlier(connection, job_id):
        reached = (deliveries.c.job_id == earlier.job_id) & (deliveries.c.attempts > 0)
        if connection.execute(sa.select(deliveries.c.job_id).where(reached)).first():
            return str(earlier.job_id) if earlier.purged_at is not None else None
    return None


def first_with(connection: sa.Connection, job_id: str, objects: Collection[str]) -> dict[str, Any]:
    """Number and start of the earlier job that has exactly these objects (SOP Instance UIDs); empty if none has."""
    for earlier in _earlier(connection, job_id) if objects else ():
        own = sa.select(evidence.c.sop_instance_uid).where(evidence.c.job_id == earlier.job_id)
        if set(connection.scalars(own)) == set(objects):
            return {"number": earlier.number, "started_at": earlier.started_at}
    return {}


def _of_earlier_revisions(connection: sa.Connection, job_id: str) -> Sequence[Any]:
    """The earlier jobs of the study, of all pipelines, the newest first."""
    this = sa.select(jobs.c.study_uid, jobs.c.revision).where(jobs.c.job_id == job_id)
    study_uid, revision = connection.execute(this).one()
    earlier = (jobs.c.study_uid == study_uid) & (jobs.c.revision < revision)
    columns = (jobs.c.job_id, jobs.c.purged_at, jobs.c.series_uid)
    return connection.execute(sa.select(*columns).where(earlier).order_by(jobs.c.revision.desc(), jobs.c.job_id)).all()


def _earlier(connection: sa.Connection, job_id: str) -> Iterator[Any]:
    """The jobs that this one supersedes, the newest first."""
    columns = (jobs.c.job_id, jobs.c.supersedes, jobs.c.purged_at, jobs.c.series_uid, jobs.c.number, jobs.c.started_at)
    this = connection.execute(sa.select(*columns).where(jobs.c.job_id == job_id)).one()
    while this.supersedes is not None:
        this = connection.execute(sa.select(*columns).where(jobs.c.job_id == this.supersedes)).one()
        yield this
