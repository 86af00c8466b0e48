"""Answers about models and the audit trail, field by field."""

from pydantic import BaseModel, Field

from service.ops.answer_fields import Document, Time


class InstalledModel(BaseModel):
    """A version of a model. state: active, candidate, previous or installed; share, shadow: of the candidate."""

    name: str
    version: str
    sha256: str
    source: str
    licence: str
    state: str
    share: float | None
    shadow: bool | None


class Models(BaseModel):
    """Every version of every model."""

    models: list[InstalledModel]


class ShadowAnalysis(BaseModel):
    """What a candidate found in a study, beside the active version."""

    job_id: str
    model: str
    version: str
    state: str
    at: Time
    results: str = Field(description="name of the candidate's results")
    document: Document | None = Field(description="the difference, and the models of both analyses")
    error: str


class ShadowAnalyses(BaseModel):
    """The latest first."""

    studies: list[ShadowAnalysis]


class Trial(BaseModel):
    """A version on trial. share: part of the studies that it analyses; shadow: beside the active version."""

    version: str
    share: float
    shadow: bool


class ServedModel(BaseModel):
    """What is served of a model now. difference: what the acceptance check found, where there was one."""

    active: str
    previous: str | None
    candidate: Trial | None
    difference: Document | None


class AuditEntry(BaseModel):
    """Who wanted what, and what came of it: begun, done, refused or failed."""

    id: int
    entry: int
    at: Time
    who: str
    what: str
    subject: str
    outcome: str
    detail: Document


class AuditEntries(BaseModel):
    """The latest first."""

    entries: list[AuditEntry]
