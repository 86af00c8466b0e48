"""The worklist of those who read CTs: studies with a result that nobody has reviewed, by urgency and rank.

A study stands on it once, with its highest rank among its current results: of each pipeline the latest one. A review of
any of them that is later than the end of all of them takes the study off, as long as nothing of it is analysed anew; a
newer result, for instance after a late slice, brings it back. What was refused or failed has no result, and is not on
it.
"""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from service.domain.job_state import NOT_ANALYSED, UNWANTED
from service.domain.priority import Urgency
from service.store.tables import jobs, reviews

LIKELY = 0.5
"""A lower rank goes after a study that nobody ranked, of which it is not known whether there is something to see."""

_SHOWN = tuple(
    jobs.c[name]
    for name in ("job_id", "study_uid", "pipeline", "state", "urgency", "created_at", "rank", "headline", "flags")
)


class Worklist:
    """Reads only."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine

    def entries(self, limit: int = 100, offset: int = 0) -> list[Mapping[str, Any]]:
        """The most urgent first, then the highest rank, then the study that has waited longest.

        Without a rank a study stands between the ranks from `LIKELY` on and those below. urgency: the highest of the
        study's current results. reviewed_before: whether any result of the study was ever reviewed.
        """
        current = _current()
        urgent = sa.func.max(_urgency(current)).over(partition_by=current.c.study_uid)
        query = sa.select(current, _place_in_study(current).label("place"), urgent.label("urgent"))
        lines = query.where(current.c.study_uid.not_in(_done(current))).cte()
        order = lines.c.urgent.desc(), _group(lines), lines.c.rank.desc(), lines.c.created_at, lines.c.job_id
        first = sa.select(lines).where(lines.c.place == 1).order_by(*order).limit(limit).offset(offset)
        with self._engine.begin() as connection:
            return [_entry(row) for row in connection.execute(first).mappings()]


def _current() -> sa.CTE:
    """Selects the results that are still wanted, the latest of each study and pipeline, with their latest review."""
    newer, other, said = jobs.alias(), jobs.alias(), reviews.alias()
    later = sa.exists().where(
        newer.c.study_uid == jobs.c.study_uid,
        newer.c.pipeline == jobs.c.pipeline,
        newer.c.revision > jobs.c.revision,
        newer.c.series_uid.is_not(None),
        newer.c.state.not_in(UNWANTED),
    )
    reviewed_at = sa.select(sa.func.max(reviews.c.at)).where(reviews.c.job_id == jobs.c.job_id).scalar_subquery()
    before = sa.exists().where(said.c.job_id == other.c.job_id, other.c.study_uid == jobs.c.study_uid)
    query = sa.select(*_SHOWN, jobs.c.finished_at, reviewed_at.label("reviewed_at"), before.label("reviewed_before"))
    wanted = jobs.c.series_uid.is_not(None), jobs.c.state.not_in(UNWANTED), jobs.c.purged_at.is_(None)
    return query.where(*wanted, ~later).cte()


def _done(current: sa.CTE) -> sa.Select[tuple[str]]:
    """Selects the studies whose every current result was there when one of them was reviewed, and none is to come."""
    at_work = sa.select(jobs.c.study_uid).where(jobs.c.state.in_(NOT_ANALYSED))
    query = sa.select(current.c.study_uid).where(current.c.study_uid.not_in(at_work))
    late_enough = sa.func.max(current.c.reviewed_at) > sa.func.max(current.c.finished_at)
    return query.group_by(current.c.study_uid).having(late_enough)


def _place_in_study(current: sa.CTE) -> sa.Over[int]:
    """The highest rank first, without a rank last, on SQLite and PostgreSQL alike."""
    order = sa.case((current.c.rank.is_(None), 1), else_=0), current.c.rank.desc(), current.c.pipeline
    return sa.func.row_number().over(partition_by=current.c.study_uid, order_by=order)


def _urgency(rows: sa.CTE) -> sa.ColumnElement[int]:
    """0 for routine, and so on upwards."""
    return sa.case({urgency: number for number, urgency in enumerate(Urgency)}, value=rows.c.urgency, else_=0)


def _group(rows: sa.CTE) -> sa.ColumnElement[int]:
    """Studies of which the rank says "soon", then those without a rank, then the others."""
    return sa.case((rows.c.rank.is_(None), 1), (rows.c.rank >= LIKELY, 0), else_=2)


def _entry(row: sa.RowMapping) -> dict[str, Any]:
    shown = {column.name: row[column.name] for column in _SHOWN}
    return shown | {
        "urgency": list(Urgency)[row["urgent"]],
        "flags": [flag["code"] for flag in row["flags"]],
        "reviewed_before": bool(row["reviewed_before"]),
    }
