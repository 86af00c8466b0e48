"""Answers about jobs, field by field. A test compares the fields with the columns of the tables."""

from pydantic import BaseModel, Field

from service.domain.delivery import Confirm
from service.domain.delivery_state import Delivered
from service.domain.job_state import State
from service.domain.priority import Urgency
from service.domain.review import Verdict
from service.ops.answer_fields import Document, Headline, Page, Time


class JobChanged(BaseModel):
    """The job after a change; after reanalyse, the new one where there is one at once."""

    job_id: str
    state: State


class JobLine(BaseModel):
    """A job in a list."""

    job_id: str
    study_uid: str
    revision: int
    pipeline: str = Field(description="its name; empty: no pipeline takes the study")
    supersedes: str | None
    state: State
    urgency: Urgency
    priority: int = Field(description="the lowest goes first")
    created_at: Time
    number: int = Field(description="of the study's results by this pipeline")
    started_at: Time | None
    finished_at: Time | None = Field(description="when the analysis ended")
    delivered_at: Time | None
    purged_at: Time | None = Field(description="when its images and results were given up")
    acquired_at: Time | None = Field(description="latest acquisition of the study's CT images")
    series_uid: str | None = Field(description="the analysed series")
    headline: Headline | None
    rank: float | None = Field(description="on the worklist, 0 to 1, 1 the first")
    flags: list[str]
    timings_s: dict[str, float]
    facts: Document | None = Field(description="what routing rules look at")
    models: list[Document] | None = Field(description="that made the result; null: not known")
    error: str
    latency_s: float | None = Field(description="from the acquisition to the delivery")


class RefusedSeries(BaseModel):
    """A series that was not analysed, and why."""

    series_uid: str
    reason: str
    detail: str
    sentence: str


class ResultObject(BaseModel):
    """A DICOM object that was made."""

    sop_instance_uid: str
    kind: str
    style: str | None = Field(description="for which destinations; null: for all")
    series_uid: str | None
    refers_to: list[str] | None
    sop_class_uid: str
    path: str
    sha256: str


class DeliveryLine(BaseModel):
    """What became of an object at a destination."""

    destination: str
    sop_instance_uid: str
    state: Delivered
    confirm: Confirm
    status: int | None = Field(description="of the latest response")
    attempts: int
    last_error: str
    next_attempt_at: Time | None
    planned_at: Time
    stored_at: Time | None
    first_stored_at: Time | None
    absences: int
    sent_class_uid: str | None
    sent_instance_uid: str | None
    committed_at: Time | None
    words: str


class ReviewLine(BaseModel):
    """A radiologist's word on the result; the latest counts."""

    at: Time
    by_whom: str
    verdict: Verdict
    score: int | None
    comment: str


class JournalLine(BaseModel):
    """What happened to the study."""

    at: Time
    job_id: str | None
    step: str
    detail: str
    words: str


class JobWhole(JobLine):
    """One job with all that is known of it."""

    superseded_by: str | None
    warnings: list[str]
    reasons: list[RefusedSeries]
    objects: list[ResultObject]
    deliveries: list[DeliveryLine]
    reviews: list[ReviewLine]
    journal: list[JournalLine]


class Jobs(Page):
    """A part of all jobs."""

    jobs: list[JobLine]


class WorklistLine(BaseModel):
    """A study to be read, with the job of its highest rank."""

    job_id: str
    study_uid: str
    pipeline: str
    state: State
    urgency: Urgency
    created_at: Time
    rank: float | None
    headline: Headline | None
    flags: list[str]
    reviewed_before: bool


class WorklistPage(Page):
    """A part of the worklist."""

    studies: list[WorklistLine]
