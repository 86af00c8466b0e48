"""HTTP routes of models and the audit trail. As in `job_routes`, a change needs the operator's name in a header.

A change that has to pass the acceptance check is answered when it has, after a minute or so.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, TypeVar

from fastapi import APIRouter, HTTPException, Query

from service.domain.serving import NoSuchModel, Served
from service.errors import Permanent, Transient
from service.imaging.difference import Difference
from service.ops.answers import CHANGES
from service.ops.request_types import By, Limit, ModelName, ModelVersion, Share, Since, Subject

_Answer = TypeVar("_Answer")


class Changed(Protocol):
    """served: of the model, now."""

    @property
    def served(self) -> Served: ...

    @property
    def difference(self) -> Difference | None: ...


class ModelControl(Protocol):
    """NoSuchModel; any other Permanent: it cannot be done, in words; Transient: not now."""

    def installed(self) -> Sequence[Mapping[str, Any]]: ...

    def canary(self, name: str, version: str, share: float, by: str) -> Changed: ...

    def shadow(self, name: str, version: str, by: str) -> Changed: ...

    def promote(self, name: str, version: str | None, by: str) -> Changed: ...

    def rollback(self, name: str, by: str) -> Changed: ...

    def withdraw(self, name: str, by: str) -> Changed: ...

    def compared(self, name: str, version: str | None = None, limit: int = 1000) -> Sequence[Mapping[str, Any]]: ...


class Trail(Protocol):
    """The audit trail."""

    def entries(
        self, subject: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> Sequence[Mapping[str, Any]]: ...


def model_routes(control: ModelControl, trail: Trail) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api", tags=["models"])
    model = "/models/{name}"

    @router.get("/models", summary="Every version of every model, and what is served of it")
    def models() -> dict[str, Any]:
        return {"models": [dict(one) for one in _said(control.installed)]}

    @router.get(f"{model}/shadow", summary="How candidates differ from the active version, study by study")
    def compared(name: ModelName, version: ModelVersion | None = None, limit: Limit = 100) -> dict[str, Any]:
        return {"studies": [dict(one) for one in control.compared(name, version, limit)]}

    @router.post(f"{model}/canary", summary="Let a version analyse a share of the studies", responses=CHANGES)
    def canary(name: ModelName, by: By, version: ModelVersion, share: Share) -> dict[str, Any]:
        return _done(lambda: control.canary(name, version, share, by))

    @router.post(
        f"{model}/shadow", summary="Let a version analyse every study beside the active one", responses=CHANGES
    )
    def shadow(name: ModelName, by: By, version: ModelVersion) -> dict[str, Any]:
        return _done(lambda: control.shadow(name, version, by))

    @router.post(f"{model}/promote", summary="Make a version, or the candidate, the active one", responses=CHANGES)
    def promote(name: ModelName, by: By, version: ModelVersion | None = None) -> dict[str, Any]:
        return _done(lambda: control.promote(name, version, by))

    @router.post(f"{model}/rollback", summary="Go back to the version before", responses=CHANGES)
    def rollback(name: ModelName, by: By) -> dict[str, Any]:
        return _done(lambda: control.rollback(name, by))

    @router.post(f"{model}/withdraw", summary="End the trial of the candidate", responses=CHANGES)
    def withdraw(name: ModelName, by: By) -> dict[str, Any]:
        return _done(lambda: control.withdraw(name, by))

    @router.get("/audit", summary="Who changed what, the latest first")
    def audit(
        subject: Subject | None = Query(None, description="only of this model or job"),
        since: Since | None = Query(None, description="only at or after this time (ISO 8601)"),
        limit: Limit = 100,
    ) -> dict[str, Any]:
        return {"entries": [dict(one) for one in trail.entries(subject, since, limit)]}

    return router


def _done(action: Callable[[], Changed]) -> dict[str, Any]:
    changed = _said(action)
    candidate = changed.served.candidate
    return {
        "active": changed.served.active,
        "previous": changed.served.previous,
        "candidate": candidate and {"version": candidate.version, "share": candidate.share, "shadow": candidate.shadow},
        "difference": changed.difference and changed.difference.as_document(),
    }


def _said(action: Callable[[], _Answer]) -> _Answer:
    try:
        return action()
    except NoSuchModel as error:
        raise HTTPException(404, str(error)) from error
    except Permanent as error:
        raise HTTPException(409, str(error)) from error
    except Transient as error:
        raise HTTPException(503, str(error)) from error
