"""HTTP routes of the actions on a job. Each change needs a role, and writes who asked for it to the journal.

Operators retry, cancel, resend and reanalyse; a review is a reviewer's.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from service.domain.job import Job
from service.domain.job_state import IllegalTransition
from service.domain.review import LONGEST_COMMENT, NoReview, Verdict
from service.ops.access import Operator, Reviewer
from service.ops.answers import CHANGES, WHO
from service.ops.job_answers import JobChanged
from service.ops.request_types import Destinations, JobId, Score, Text

log = logging.getLogger(__name__)


class Said(BaseModel):
    """A radiologist's word on a result."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    score: Score | None = Field(None, description="the radiologist's own value of the headline, where overridden")
    comment: Text = Field("", max_length=LONGEST_COMMENT, description="kept with the job; no patient data, please")


class JobControl(Protocol):
    """LookupError: there is no such job; IllegalTransition: it cannot be done."""

    def retry(self, job_id: str, by: str) -> Job: ...

    def cancel(self, job_id: str, by: str) -> Job: ...

    def resend(self, job_id: str, by: str, destinations: Sequence[str] = ()) -> Job: ...

    def reanalyse(self, job_id: str, by: str) -> Job: ...

    def review(self, job_id: str, by: str, verdict: Verdict, score: int | None = None, comment: str = "") -> Job:
        """NoReview for a score that is none."""
        ...


def job_routes(control: JobControl) -> APIRouter:
    """Returns the routes."""
    router = APIRouter(prefix="/api/jobs/{job_id}", tags=["operator"], responses=CHANGES | WHO)

    @router.post("/retry", summary="Try a failed or undelivered job again")
    def retry(job_id: JobId, by: Operator) -> JobChanged:
        return _done(lambda: control.retry(job_id, by.label))

    @router.post("/cancel", summary="Analyse and send nothing more of a job")
    def cancel(job_id: JobId, by: Operator) -> JobChanged:
        return _done(lambda: control.cancel(job_id, by.label))

    @router.post("/resend", summary="Send the stored results once more")
    def resend(job_id: JobId, by: Operator, to: Destinations = ()) -> JobChanged:
        return _done(lambda: control.resend(job_id, by.label, to))

    @router.post("/reanalyse", summary="Analyse the study again, as a new job; without a pipeline: choose again")
    def reanalyse(job_id: JobId, by: Operator) -> JobChanged:
        return _done(lambda: control.reanalyse(job_id, by.label))

    @router.post("/review", summary="Say whether a result stands or was overridden")
    def review(job_id: JobId, by: Reviewer, said: Said) -> JobChanged:
        return _done(lambda: control.review(job_id, by.label, said.verdict, said.score, said.comment))

    return router


def _done(action: Callable[[], Job]) -> JobChanged:
    try:
        job = action()
    except LookupError as error:
        log.warning("a change was refused: there is no such job")  # the audit trail tells only of jobs that there are
        raise HTTPException(404, str(error)) from error
    except (IllegalTransition, NoReview) as error:
        raise HTTPException(409, str(error)) from error
    return JobChanged(job_id=job.job_id, state=job.state)
