"""The worklist of those who read CTs: studies with a result that nobody has reviewed, by the rank of the result.

A study stands on it once, with its highest rank among its current results: of each pipeline the latest one. A review of
any of them takes the study off; a newer result, for instance after a late slice, brings it back. Studies without a rank
come last, so that none is missing. What was refused or failed has no result, and is not on it.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from service.domain.job_state import UNWANTED
from service.store.tables import jobs, reviews

_SHOWN = tuple(
    jobs.c[name]
    for name in ("job_id", "study_uid", "pipeline", "state", "urgency", "created_at", "rank", "headline", "flags")
)


class Worklist:
    """Reads only."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def entries(self, limit: int = 100, offset: int = 0) -> list[Mapping[str, Any]]:
        """The highest rank first; of equal ones, and without a rank, the study that has waited longest.

        reviewed_before: whether an earlier result of the study was reviewed.
        """
        current = _current()
        done = sa.select(current.c.study_uid).where(current.c.reviewed)
        lines = (
            sa.select(current, _place_in_study(current).label("place")).where(current.c.study_uid.not_in(done)).cte()
        )
        query = sa.select(lines).where(lines.c.place == 1)
        query = query.order_by(*_by_rank(lines), lines.c.created_at, lines.c.job_id).limit(limit).offset(offset)
        with self._engine.begin() as connection:
            return [_entry(row) for row in connection.execute(query).mappings()]


def _current() -> sa.CTE:
    """Results that are still wanted, the latest of each study and pipeline; whether they were reviewed."""
    newer, other, said = jobs.alias(), jobs.alias(), reviews.alias()
    later = sa.exists().where(
        newer.c.study_uid == jobs.c.study_uid,
        newer.c.pipeline == jobs.c.pipeline,
        newer.c.revision > jobs.c.revision,
        newer.c.series_uid.is_not(None),
        newer.c.state.not_in(UNWANTED),
    )
    own = sa.exists().where(reviews.c.job_id == jobs.c.job_id)
    before = sa.exists().where(said.c.job_id == other.c.job_id, other.c.study_uid == jobs.c.study_uid)
    query = sa.select(*_SHOWN, own.label("reviewed"), before.label("reviewed_before"))
    wanted = jobs.c.series_uid.is_not(None), jobs.c.state.not_in(UNWANTED), jobs.c.purged_at.is_(None)
    return query.where(*wanted, ~later).cte()


def _place_in_study(current: sa.CTE) -> sa.Over[int]:
    order = (*_by_rank(current), current.c.pipeline)
    return sa.func.row_number().over(partition_by=current.c.study_uid, order_by=order)


def _by_rank(rows: sa.CTE) -> tuple[sa.ColumnElement[Any], ...]:
    """The highest first, without a rank last, on SQLite and PostgreSQL alike."""
    return sa.case((rows.c.rank.is_(None), 1), else_=0), rows.c.rank.desc()


def _entry(row: sa.RowMapping) -> dict[str, Any]:
    shown: dict[str, Any] = {name: value for name, value in row.items() if name not in ("reviewed", "place")}
    return shown | {"flags": [flag["code"] for flag in row["flags"]], "reviewed_before": bool(row["reviewed_before"])}
