"""HTTP routes that show jobs and the worklist to everybody who may see results."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from fastapi import APIRouter, HTTPException, Query

from service.domain.job_state import State
from service.ops.access import Viewer
from service.ops.answers import UNKNOWN, WHO
from service.ops.job_answers import Jobs, JobWhole, WorklistPage
from service.ops.request_types import JobId, Limit, Offset, Since, Uid


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


def view_routes(jobs: JobViews, worklist: Worklist) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api", tags=["jobs"], responses=WHO)

    @router.get("/jobs", summary="Jobs, newest first")
    def list_jobs(
        _by: Viewer,
        state: State | None = Query(None, description="only jobs in this state"),
        study_uid: Uid | None = Query(None, description="only jobs of this study"),
        since: Since | None = Query(None, description="only jobs created at or after this time (ISO 8601)"),
        order: Literal["newest", "priority"] = Query("newest", description="priority: what is worked on first"),
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Jobs:
        first = order == "priority"
        rows = jobs.list_jobs(
            state=state, study_uid=study_uid, since=since, by_priority=first, limit=limit, offset=offset
        )
        return Jobs.model_validate({"jobs": rows, "limit": limit, "offset": offset})

    @router.get("/worklist", summary="Studies with a result that nobody has reviewed, by urgency and rank")
    def list_worklist(_by: Viewer, limit: Limit = 100, offset: Offset = 0) -> WorklistPage:
        found = worklist.entries(limit, offset)
        return WorklistPage.model_validate({"studies": found, "limit": limit, "offset": offset})

    @router.get("/jobs/{job_id}", summary="One job with its series, reasons, deliveries and journal", responses=UNKNOWN)
    def show_job(job_id: JobId, _by: Viewer) -> JobWhole:
        if (row := jobs.job(job_id)) is None:
            raise HTTPException(404, f"there is no job {job_id!r}")
        return JobWhole.model_validate(row)

    return router
