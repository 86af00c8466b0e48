"""HTTP routes of the operators' actions on a job. Every change needs the operator's name in a header, for the journal.

The header also keeps foreign web pages out: a browser sends no header of its own choice to another origin unasked.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Protocol

from fastapi import APIRouter, Header, HTTPException, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from service.domain.job import Job
from service.domain.job_state import IllegalTransition
from service.domain.review import LONGEST_COMMENT, NoReview, Verdict


def _as_sent(name: str) -> str:
    """A header is read as Latin-1, and mostly sent as UTF-8."""
    try:
        return name.encode("latin-1").decode()
    except UnicodeError:
        return name


By = Annotated[
    str,
    BeforeValidator(_as_sent),
    Header(alias="X-Thoracle-Operator", min_length=1, max_length=64, description="your name"),
]


class Said(BaseModel):
    """A radiologist's word on a result."""

    model_config = ConfigDict(extra="forbid")

    verdict: Verdict
    score: int | None = Field(None, description="the radiologist's own value of the headline, where it was overridden")
    comment: str = Field("", max_length=LONGEST_COMMENT, description="kept with the job; no patient data, please")


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
    router = APIRouter(prefix="/api/jobs/{job_id}", tags=["operator"])

    @router.post("/retry", summary="Try a failed or undelivered job again")
    def retry(job_id: str, by: By) -> dict[str, str]:
        return _done(lambda: control.retry(job_id, by))

    @router.post("/cancel", summary="Analyse and send nothing more of a job")
    def cancel(job_id: str, by: By) -> dict[str, str]:
        return _done(lambda: control.cancel(job_id, by))

    @router.post("/resend", summary="Send the stored results once more")
    def resend(job_id: str, by: By, to: list[str] = Query((), description="only there")) -> dict[str, str]:
        return _done(lambda: control.resend(job_id, by, to))

    @router.post("/reanalyse", summary="Analyse the study again, as a new job; without a pipeline: choose again")
    def reanalyse(job_id: str, by: By) -> dict[str, str]:
        return _done(lambda: control.reanalyse(job_id, by))

    @router.post("/review", summary="Say whether a result stands or was overridden")
    def review(job_id: str, by: By, said: Said) -> dict[str, str]:
        return _done(lambda: control.review(job_id, by, said.verdict, said.score, said.comment))

    return router


def _done(action: Callable[[], Job]) -> dict[str, str]:
    try:
        job = action()
    except LookupError as error:
        raise HTTPException(404, str(error)) from error
    except IllegalTransition as error:
        raise HTTPException(409, str(error)) from error
    except NoReview as error:
        raise HTTPException(422, str(error)) from error
    return {"job_id": job.job_id, "state": job.state}
