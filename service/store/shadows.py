"""Shadow analyses: which candidates are to analyse which job too, and how their results differ.

Planned in the transaction that ends the job's own analysis; the engine is told afterwards, and told again.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from service.store.file_keys import forget_keys
from service.store.names import results_folder
from service.store.tables import jobs, shadows

LIMIT = 1000
"""Shadow analyses in one answer."""


class Shadow(StrEnum):
    """Where a shadow analysis stands."""

    WAITING = "waiting"
    COMPARED = "compared"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"


def plan_shadows(connection: sa.Connection, job_id: str, wanted: Mapping[str, str], now: datetime) -> None:
    """Note that these candidates, version by model name, are to analyse the job too. Inside somebody's transaction.

    What an earlier analysis of the same job has planned stays as it is.
    """
    own = sa.select(shadows.c.model, shadows.c.version).where(shadows.c.job_id == job_id)
    known = {(model, version) for model, version in connection.execute(own)}
    for model, version in wanted.items():
        if (model, version) not in known:
            row = {"job_id": job_id, "model": model, "version": version, "state": Shadow.WAITING, "at": now}
            row |= {"results": results_of(job_id, model, version), "error": ""}
            connection.execute(sa.insert(shadows).values(row))


def results_of(job_id: str, model: str, version: str) -> str:
    """The name under which the candidate's results are kept, apart from those of the job."""
    return f"{job_id}-shadow-{model}-{version}"


_ENDED = (Shadow.COMPARED, Shadow.FAILED)
"""States of a shadow analysis that tells something of the candidate."""


class Shadows:
    """The table of shadow analyses."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def to_run(self) -> list[str]:
        """Jobs that a candidate is still to analyse; the engine should be at each."""
        waiting = sa.select(shadows.c.job_id).where(shadows.c.state == Shadow.WAITING).distinct()
        with self._engine.begin() as connection:
            return list(connection.scalars(waiting.order_by(shadows.c.job_id)))

    def waiting(self, job_id: str) -> list[tuple[str, str]]:
        """Model and version of each candidate that is still to analyse the job."""
        own = (shadows.c.job_id == job_id) & (shadows.c.state == Shadow.WAITING)
        query = sa.select(shadows.c.model, shadows.c.version).where(own).order_by(shadows.c.model)
        with self._engine.begin() as connection:
            return [(model, version) for model, version in connection.execute(query)]

    def end(
        self,
        job_id: str,
        model: str,
        version: str,
        state: Shadow,
        now: datetime,
        *,
        document: Mapping[str, Any] | None = None,
        error: str = "",
    ) -> None:
        """How it ended. document: the difference."""
        this = (shadows.c.job_id == job_id) & (shadows.c.model == model) & (shadows.c.version == version)
        values = {"state": state, "at": now, "document": document, "error": error}
        with self._engine.begin() as connection:
            connection.execute(sa.update(shadows).where(this).values(values))
            if state is Shadow.WITHDRAWN:  # its results went with it, or there were none
                forget_keys(connection, [results_folder(results_of(job_id, model, version))], now)

    def of(self, model: str, version: str | None = None, limit: int = LIMIT) -> list[Mapping[str, Any]]:
        """Shadow analyses of a model's candidates, or of one, the latest first. limit: at most so many."""
        query = sa.select(shadows).where(shadows.c.model == model)
        query = query.order_by(shadows.c.at.desc(), shadows.c.job_id, shadows.c.version).limit(limit)
        if version is not None:
            query = query.where(shadows.c.version == version)
        with self._engine.begin() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]

    def latest_studies(self, model: str, version: str, since: datetime, studies: int) -> list[Mapping[str, Any]]:
        """Returns all shadow analyses that ended since then, of a candidate's latest studies: at most so many studies.

        Each has its `study_uid`. Left out are studies of which an analysis still waits, and what was withdrawn.
        """
        of_candidate = (shadows.c.model == model) & (shadows.c.version == version)
        both = shadows.join(jobs, shadows.c.job_id == jobs.c.job_id)
        waiting = sa.select(jobs.c.study_uid).select_from(both).where(of_candidate, shadows.c.state == Shadow.WAITING)
        ended = of_candidate, shadows.c.state.in_(_ENDED), shadows.c.at >= since, jobs.c.study_uid.not_in(waiting)
        latest = sa.select(jobs.c.study_uid).select_from(both).where(*ended).group_by(jobs.c.study_uid)
        chosen = latest.order_by(sa.func.max(shadows.c.at).desc(), jobs.c.study_uid).limit(studies).subquery()
        query = sa.select(shadows, jobs.c.study_uid).select_from(both).where(*ended)
        query = query.where(jobs.c.study_uid.in_(sa.select(chosen.c.study_uid)))
        query = query.order_by(shadows.c.at.desc(), shadows.c.job_id)
        with self._engine.begin() as connection:
            return [dict(row) for row in connection.execute(query).mappings()]
