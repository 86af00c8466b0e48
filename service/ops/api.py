"""The operator's HTTP API. Answers hold job ids, states and reasons, never patient data."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from service.ops.actions import Operator, actions

log = logging.getLogger(__name__)

Health = Mapping[str, str]
"""Component name to "ok", or to a sentence that says what is wrong; with `WARNING` before it, what soon will be."""

WARNING = "warning: "


class Jobs(Protocol):
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


def create_app(
    version: str,
    jobs: Jobs,
    operator: Operator,
    job_states: Sequence[str],
    healthy: Callable[[], Health],
    ready: Callable[[], Health],
    metrics: Callable[[], bytes],
) -> FastAPI:
    """The application.

    healthy: is this process able to work; ready: is the whole service able to take and analyse a CT.
    """
    app = FastAPI(title="Thoracle", version=version, description="Research use only. Not for diagnostic use.")

    def health(components: Health) -> JSONResponse:
        wrong = [state for state in components.values() if state != "ok"]
        works = all(state.startswith(WARNING) for state in wrong)
        status = "ok" if not wrong else "degraded" if works else "unavailable"
        body = {"status": status, "version": version, "components": dict(components)}
        return JSONResponse(body, 200 if works else 503)

    @app.exception_handler(SQLAlchemyError)
    def database_fails(_request: Request, error: SQLAlchemyError) -> JSONResponse:
        log.error("a request was not answered: %s", type(error).__name__)
        return JSONResponse({"detail": "the database fails; /readyz tells more"}, 503)

    @app.get("/healthz", summary="This process works")
    def healthz() -> JSONResponse:
        return health(healthy())

    @app.get("/readyz", summary="A CT sent now would be analysed")
    def readyz() -> JSONResponse:
        return health(ready())

    @app.get("/metrics", summary="Prometheus metrics")
    def prometheus() -> Response:
        return Response(metrics(), media_type=CONTENT_TYPE_LATEST)

    @app.get("/api/jobs", summary="Jobs, newest first")
    def list_jobs(
        state: str | None = Query(None, description=f"only jobs in this state: {', '.join(job_states)}"),
        study_uid: str | None = Query(None, max_length=128, description="only jobs of this study"),
        since: datetime | None = Query(None, description="only jobs created at or after this time (ISO 8601)"),
        order: Literal["newest", "priority"] = Query("newest", description="priority: what is worked on first"),
        limit: int = Query(100, ge=1, le=1000),
        offset: int = Query(0, ge=0),
    ) -> dict[str, Any]:
        if state is not None and state not in job_states:
            raise HTTPException(422, f"unknown state {state!r}; states are: {', '.join(job_states)}")
        first = order == "priority"
        rows = jobs.list_jobs(
            state=state, study_uid=study_uid, since=since, by_priority=first, limit=limit, offset=offset
        )
        return {"jobs": [dict(row) for row in rows], "limit": limit, "offset": offset}

    @app.get("/api/jobs/{job_id}", summary="One job with its series, reasons, deliveries and journal")
    def show_job(job_id: str) -> dict[str, Any]:
        if (row := jobs.job(job_id)) is None:
            raise HTTPException(404, f"there is no job {job_id!r}")
        return dict(row)

    app.include_router(actions(operator))
    return app
