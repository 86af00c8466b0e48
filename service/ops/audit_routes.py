"""The HTTP route of the audit trail. Who reads it is told of to the collector of audit messages."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from fastapi import APIRouter, Query

from service.ops.access import Admin
from service.ops.answers import WHO
from service.ops.model_answers import AuditEntries
from service.ops.request_types import Limit, Since, Subject


class Trail(Protocol):
    """The audit trail."""

    def entries(
        self, subject: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> Sequence[Mapping[str, Any]]: ...


def audit_routes(trail: Trail, read: Callable[[str], None]) -> APIRouter:
    """Return the route. read: is told who reads, before they see anything."""
    router = APIRouter(prefix="/api", tags=["audit trail"], responses=WHO)

    @router.get("/audit", summary="Who changed what, the latest first")
    def audit(
        by: Admin,
        subject: Subject | None = Query(None, description="only of this model or job"),
        since: Since | None = Query(None, description="only at or after this time (ISO 8601)"),
        limit: Limit = 100,
    ) -> AuditEntries:
        read(by.label)
        return AuditEntries.model_validate({"entries": trail.entries(subject, since, limit)})

    return router
