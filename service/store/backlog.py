"""What the receiver asks the tables before it takes more."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from service.domain.job_state import NOT_BEGUN
from service.store.engine import in_words
from service.store.tables import instances, jobs, studies


class Backlog:
    """Reads only. OSError where the database fails."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def waiting(self) -> dict[str, int]:
        """How many wait by calling AE title: jobs whose analysis has not begun, and studies that will get some."""
        not_begun = sa.select(studies.c.calling_ae).join_from(jobs, studies).where(jobs.c.state.in_(NOT_BEGUN))
        coming = sa.select(studies.c.calling_ae).where(studies.c.revision > studies.c.job_revision)
        every = sa.union_all(not_begun, coming).subquery()
        found = self._all(sa.select(every.c.calling_ae, sa.func.count()).group_by(every.c.calling_ae))
        return {row.calling_ae: int(row[1]) for row in found}

    def holds(self, study_uid: str) -> bool:
        """Whether any image of a study is here."""
        return bool(self._all(sa.select(sa.exists().where(instances.c.study_uid == study_uid)))[0][0])

    def _all(self, query: sa.Select[Any]) -> Sequence[Any]:
        try:
            with self._engine.begin() as connection:
                return connection.execute(query).all()
        except SQLAlchemyError as error:
            raise OSError(in_words(error)) from error
