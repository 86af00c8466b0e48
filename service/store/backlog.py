"""What the receiver asks the tables before it takes more."""

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from service.domain.job_state import NOT_BEGUN
from service.store.engine import in_words
from service.store.tables import instances, jobs


class Backlog:
    """Reads only. OSError where the database fails."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def waiting(self) -> int:
        """Jobs whose analysis has not begun."""
        return self._one(sa.select(sa.func.count()).select_from(jobs).where(jobs.c.state.in_(NOT_BEGUN)))

    def holds(self, study_uid: str) -> bool:
        """Whether any image of a study is here."""
        return bool(self._one(sa.select(sa.exists().where(instances.c.study_uid == study_uid))))

    def _one(self, query: sa.Select[int] | sa.Select[bool]) -> int:
        try:
            with self._engine.begin() as connection:
                return int(connection.execute(query).scalar_one())
        except SQLAlchemyError as error:
            raise OSError(in_words(error)) from error
