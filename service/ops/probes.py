"""HTTP probes of every process: whether it is alive, whether it can work, and its metrics."""

from collections.abc import Callable, Mapping

from fastapi import APIRouter, FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from service.ops.answers import Answers

Health = Mapping[str, str]
"""Component name to "ok", or to a sentence that says what is wrong; with `WARNING` before it, what soon will be."""

WARNING = "warning: "


class Told(BaseModel):
    """What a process tells of itself."""

    status: str
    version: str
    components: dict[str, str]


HEALTH: Answers = {
    200: {"model": Told, "description": "It works"},
    503: {"model": Told, "description": "It does not; the components tell why"},
}
_TEXT: Answers = {200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}, "description": "All metrics"}}


def answer(components: Health, version: str) -> JSONResponse:
    """200 when it works, else 503."""
    wrong = [state for state in components.values() if state != "ok"]
    works = all(state.startswith(WARNING) for state in wrong)
    status = "ok" if not wrong else "degraded" if works else "unavailable"
    body = {"status": status, "version": version, "components": dict(components)}
    return JSONResponse(body, 200 if works else 503)


def probes(
    version: str, alive: Callable[[], Health], ready: Callable[[], Health], metrics: Callable[[], bytes]
) -> APIRouter:
    """The routes. alive: would no restart help; ready: can it do its work now."""
    router = APIRouter()

    @router.get("/livez", summary="This process needs no restart", responses=HEALTH)
    def livez() -> JSONResponse:
        return answer(alive(), version)

    @router.get("/readyz", summary="The work can be done now", responses=HEALTH)
    def readyz() -> JSONResponse:
        return answer(ready(), version)

    @router.get("/metrics", summary="Prometheus metrics", response_class=Response, responses=_TEXT)
    def prometheus() -> Response:
        return Response(metrics(), media_type=CONTENT_TYPE_LATEST)

    return router


def create_monitor(
    version: str, alive: Callable[[], Health], ready: Callable[[], Health], metrics: Callable[[], bytes]
) -> FastAPI:
    """The application of a process that answers nothing else."""
    app = FastAPI(title="Thoracle", version=version, docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(probes(version, alive, ready, metrics))
    return app
