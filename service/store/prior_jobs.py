"""Finds earlier results of a patient. The database knows no patient ID, only a digest that takes long to guess."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import scrypt

import sqlalchemy as sa

from service.domain.job import StoredObject
from service.domain.job_state import State
from service.store.job_rows import objects_of
from service.store.tables import jobs, reviews, series

_SALT = b"thoracle patient 1"
_COST = {"n": 2**14, "r": 8, "p": 1, "dklen": 32}
"""A tenth of a second: ten million patient IDs cannot be tried in passing."""

_VALID = (State.ANALYSED, State.DELIVERING, State.DELIVERED, State.UNDELIVERED)


def patient_key(patient_id: str, issuer: str, entity: str = "") -> str:
    """The digest of a patient ID with its issuer, of which case does not matter; "" without an ID. entity: of the
    issuer (`domain.prior.Patient`)."""
    if not patient_id:
        return ""
    whose = f"{patient_id}\n{issuer.upper()}" + (f"\n{entity.upper()}" if entity else "")
    return scrypt(whose.encode(), salt=_SALT, **_COST).hex()


@dataclass(frozen=True, slots=True)
class PriorJob:
    """An analysed job. verdict, score: the latest word of a reviewer on it (`domain.review`), None without one."""

    job_id: str
    objects: Sequence[StoredObject]
    verdict: str | None
    score: float | None


class PriorJobs:
    """Reads only."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def find(self, patient: str, pipeline: str, study_uid: str, until: datetime, as_of: datetime) -> Iterator[PriorJob]:
        """Jobs: analysed, of this patient (`patient_key`), the latest acquisition first; of a CT without its time that
        counts at which it came.

        Of each other study than this one its newest revision, whatever series it is about. until: aware, the latest
        acquisition that counts. as_of: aware; what ended later does not count. Results that were purged are never
        found.
        """
        analysed = sa.and_(
            jobs.c.patient == patient,
            jobs.c.pipeline == pipeline,
            jobs.c.study_uid != study_uid,
            jobs.c.state.in_(_VALID),
            jobs.c.purged_at.is_(None),
            jobs.c.finished_at <= as_of,
        )
        own = sa.and_(series.c.study_uid == jobs.c.study_uid, series.c.series_uid == jobs.c.series_uid)
        latest = sa.func.coalesce(series.c.acquired_at, series.c.first_received_at)
        query = (
            sa.select(jobs.c.job_id, jobs.c.study_uid, series.c.acquired_at)
            .join(series, own)
            .where(analysed)
            .order_by(latest.desc(), jobs.c.study_uid, jobs.c.revision.desc(), jobs.c.job_id)
        )
        newest = sa.select(jobs.c.study_uid, sa.func.max(jobs.c.revision).label("number"))
        newest = newest.where(analysed).group_by(jobs.c.study_uid)
        with self._engine.begin() as connection:
            rows = connection.execute(query.add_columns(jobs.c.revision)).all()
            revisions = {one.study_uid: one.number for one in connection.execute(newest)}
        seen = set()
        for job_id, of_study, acquired_at, revision in rows:
            is_late = acquired_at is not None and acquired_at > until
            if is_late or of_study in seen or revision != revisions[of_study]:
                continue
            seen.add(of_study)
            with self._engine.begin() as connection:
                found = _found(connection, job_id)
            yield found

    def is_purged(self, job_id: str) -> bool:
        """Whether a job's results are gone by now."""
        query = sa.select(jobs.c.purged_at).where(jobs.c.job_id == job_id)
        with self._engine.begin() as connection:
            return connection.scalar(query) is not None


def _found(connection: sa.Connection, job_id: str) -> PriorJob:
    said = sa.select(reviews).where(reviews.c.job_id == job_id).order_by(reviews.c.id.desc()).limit(1)
    latest = connection.execute(said).one_or_none()
    verdict, score = (None, None) if latest is None else (latest.verdict, latest.score)
    return PriorJob(job_id, objects_of(connection, job_id), verdict, score)
