"""Radiologists' reviews of results, in the database. The latest word on a job counts; the earlier ones stay."""

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from service.domain.job import Job
from service.domain.job_state import IllegalTransition
from service.domain.review import Review
from service.store.job_rows import get
from service.store.journal import note
from service.store.tables import jobs, reviews

MOST_REVIEWS = 100
"""Of one job: the latest counts, and nobody reads a hundred."""


class Reviews:
    """The table of reviews."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def add(self, job_id: str, review: Review) -> Job:
        """NoSuchJob if there is none; NoReview; IllegalTransition if nothing of the study was analysed, or if there are
        as many as are kept."""
        with self._engine.begin() as connection:
            job = get(connection, job_id)
            analysed = connection.execute(sa.select(jobs).where(jobs.c.job_id == job_id)).one()
            if analysed.series_uid is None:
                raise IllegalTransition(f"job {job_id} is {job.state} and has no result that could be reviewed")
            count = sa.select(sa.func.count()).select_from(reviews).where(reviews.c.job_id == job_id)
            if (connection.scalar(count) or 0) >= MOST_REVIEWS:
                raise IllegalTransition(f"job {job_id} has {MOST_REVIEWS} reviews; no more are kept")
            review.check((analysed.headline or {}).get("max"))
            row = {"job_id": job_id, "at": review.at, "by_whom": review.by, "verdict": review.verdict}
            row |= {"score": review.score, "comment": review.comment}
            connection.execute(sa.insert(reviews).values(row))
            score = "" if review.score is None else f", score {review.score}"
            note(connection, job.study_uid, job_id, "review", f"{review.verdict} by {review.by}{score}", review.at)
            return job

    def verdicts(self, since: datetime) -> Mapping[str, int]:
        """Jobs by the latest word on them, of those that were reviewed since then."""
        latest = sa.select(sa.func.max(reviews.c.id)).group_by(reviews.c.job_id)
        query = (
            sa.select(reviews.c.verdict, sa.func.count())
            .where(reviews.c.id.in_(latest), reviews.c.at >= since)
            .group_by(reviews.c.verdict)
        )
        with self._engine.begin() as connection:
            return {str(verdict): count for verdict, count in connection.execute(query)}
