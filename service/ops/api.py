"""The operator's HTTP API. Answers hold job ids, states and reasons, never patient data."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from fastapi import APIRouter, FastAPI, HTTPException, Query, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from service.domain.job_state import State
from service.ops.allowed_methods import list_allowed_methods
from service.ops.answers import ANYWHERE, UNKNOWN
from service.ops.invalid_requests import explain_invalid_requests
from service.ops.job_routes import JobControl, job_routes
from service.ops.probes import HEALTH, Health, answer, probes
from service.ops.request_limits import LimitBody
from service.ops.request_types import JobId, Limit, Offset, Since, Uid

log = logging.getLogger(__name__)

_USE = "Research use only. Not for diagnostic use."


class Worklist(Protocol):
    """What the API asks of the worklist."""

    def entries(self, limit: int, offset: int) -> Sequence[Mapping[str, Any]]: ...


class JobViews(Protocol):
    """What the API asks of the records."""

    def list_jobs(
        self,
        *,
        state: str | None,
        study_uid: str | None,
        since: datetime | None,
        by_priority: bool,
        limit: int,
        offset: int,
    ) -> Sequence[Mapping[str, Any]]: ...

    def job(self, job_id: str) -> Mapping[str, Any] | None: ...


@dataclass(frozen=True, slots=True)
class SelfReport:
    """What the service reports of itself to those who watch it.

    healthy: whether this process is able to work. ready: whether the whole service is able to take and analyse a CT.
    """

    healthy: Callable[[], Health]
    ready: Callable[[], Health]
    metrics: Callable[[], bytes]


def create_app(
    version: str,
    jobs: JobViews,
    worklist: Worklist,
    control: JobControl,
    report: SelfReport,
    more: Sequence[APIRouter] = (),
) -> FastAPI:
    """Returns the application, with more routes. It is alive as long as it answers."""
    app = FastAPI(title="Thoracle", version=version, description=_USE, responses=ANYWHERE)
    app.add_middleware(LimitBody)
    explain_invalid_requests(app)
    list_allowed_methods(app)

    @app.exception_handler(SQLAlchemyError)
    def database_fails(_request: Request, error: SQLAlchemyError) -> JSONResponse:
        log.error("a request was not answered: %s", type(error).__name__)
        return JSONResponse({"detail": "the database fails; /readyz tells more"}, 503)

    @app.get("/healthz", summary="This process works", responses=HEALTH)
    def healthz() -> JSONResponse:
        return answer(report.healthy(), version)

    @app.get("/api/jobs", summary="Jobs, newest first")
    def list_jobs(
        state: State | None = Query(None, description="only jobs in this state"),
        study_uid: Uid | None = Query(None, description="only jobs of this study"),
        since: Since | None = Query(None, description="only jobs created at or after this time (ISO 8601)"),
        order: Literal["newest", "priority"] = Query("newest", description="priority: what is worked on first"),
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> dict[str, Any]:
        first = order == "priority"
        rows = jobs.list_jobs(
            state=state, study_uid=study_uid, since=since, by_priority=first, limit=limit, offset=offset
        )
        return {"jobs": [dict(row) for row in rows], "limit": limit, "offset": offset}

    @app.get("/api/worklist", summary="Studies with a result that nobody has reviewed, by urgency and rank")
    def list_worklist(limit: Limit = 100, offset: Offset = 0) -> dict[str, Any]:
        return {"studies": [dict(row) for row in worklist.entries(limit, offset)], "limit": limit, "offset": offset}

    @app.get(
        "/api/jobs/{job_id}", summary="One job with its series, reasons, deliveries and journal", responses=UNKNOWN
    )
    def show_job(job_id: JobId) -> dict[str, Any]:
        if (row := jobs.job(job_id)) is None:
            raise HTTPException(404, f"there is no job {job_id!r}")
        return dict(row)

    app.include_router(probes(version, dict, report.ready, report.metrics))
    for router in (job_routes(control), *more):
        app.include_router(router)
    return app
