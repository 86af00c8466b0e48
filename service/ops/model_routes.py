"""HTTP routes of models: everybody who sees results sees them, and administrators change them.

A change that has to pass the acceptance check is answered when it has, after a minute or so.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from fastapi import APIRouter, HTTPException

from service.domain.serving import NoSuchModel, Served
from service.errors import Permanent, Transient
from service.imaging.difference import Difference
from service.ops.access import Admin, Viewer
from service.ops.answers import CHANGES, WHO
from service.ops.model_answers import Models, ServedModel, ShadowAnalyses, Trial
from service.ops.request_types import Limit, ModelName, ModelVersion, Share

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


def model_routes(control: ModelControl) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/api", tags=["models"], responses=WHO)
    model = "/models/{name}"

    @router.get("/models", summary="Every version of every model, and what is served of it")
    def models(_by: Viewer) -> Models:
        return Models.model_validate({"models": _said(control.installed)})

    @router.get(f"{model}/shadow", summary="How candidates differ from the active version, study by study")
    def compared(
        name: ModelName, _by: Viewer, version: ModelVersion | None = None, limit: Limit = 100
    ) -> ShadowAnalyses:
        return ShadowAnalyses.model_validate({"studies": control.compared(name, version, limit)})

    @router.post(f"{model}/canary", summary="Let a version analyse a share of the studies", responses=CHANGES)
    def canary(name: ModelName, by: Admin, version: ModelVersion, share: Share) -> ServedModel:
        return _done(lambda: control.canary(name, version, share, by.label))

    @router.post(
        f"{model}/shadow", summary="Let a version analyse every study beside the active one", responses=CHANGES
    )
    def shadow(name: ModelName, by: Admin, version: ModelVersion) -> ServedModel:
        return _done(lambda: control.shadow(name, version, by.label))

    @router.post(f"{model}/promote", summary="Make a version, or the candidate, the active one", responses=CHANGES)
    def promote(name: ModelName, by: Admin, version: ModelVersion | None = None) -> ServedModel:
        return _done(lambda: control.promote(name, version, by.label))

    @router.post(f"{model}/rollback", summary="Go back to the version before", responses=CHANGES)
    def rollback(name: ModelName, by: Admin) -> ServedModel:
        return _done(lambda: control.rollback(name, by.label))

    @router.post(f"{model}/withdraw", summary="End the trial of the candidate", responses=CHANGES)
    def withdraw(name: ModelName, by: Admin) -> ServedModel:
        return _done(lambda: control.withdraw(name, by.label))

    return router


def _done(action: Callable[[], Changed]) -> ServedModel:
    changed = _said(action)
    candidate = changed.served.candidate
    return ServedModel(
        active=changed.served.active,
        previous=changed.served.previous,
        candidate=candidate and Trial(version=candidate.version, share=candidate.share, shadow=candidate.shadow),
        difference=changed.difference and changed.difference.as_document(),
    )


def _said(action: Callable[[], _Answer]) -> _Answer:
    try:
        return action()
    except NoSuchModel as error:
        raise HTTPException(404, str(error)) from error
    except Permanent as error:
        raise HTTPException(409, str(error)) from error
    except Transient as error:
        raise HTTPException(503, str(error)) from error
