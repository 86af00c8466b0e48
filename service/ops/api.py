"""The HTTP API. Answers hold job ids, states and reasons, never patient data."""

import logging
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import SQLAlchemyError

from service.ops.access import refuse_open_routes
from service.ops.allowed_methods import list_allowed_methods
from service.ops.answers import ANYWHERE
from service.ops.authentication import Authentication
from service.ops.browsers import SameOrigin, SecurityHeaders, TrustHosts
from service.ops.invalid_requests import explain_invalid_requests
from service.ops.job_routes import JobControl, job_routes
from service.ops.me_routes import me_routes
from service.ops.probes import HEALTH, Health, answer, probes
from service.ops.request_limits import ChangeLimits, LimitBody
from service.ops.view_routes import JobViews, Worklist, view_routes

log = logging.getLogger(__name__)

_USE = "Research use only. Not for diagnostic use."


@dataclass(frozen=True, slots=True)
class SelfReport:
    """What the service reports of itself to those who watch it.

    healthy: whether this process is able to work. ready: whether the whole service is able to take and analyse a CT.
    """

    healthy: Callable[[], Health]
    ready: Callable[[], Health]
    metrics: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may ask, and how much.

    hosts: names by which the API is called, beside addresses; origins: under which a proxy shows it.
    changes_per_minute: of one person, None: without limit.

    The one without anything lets in nobody.
    """

    authentication: Authentication = field(default_factory=Authentication)
    hosts: Collection[str] = ()
    origins: Collection[str] = ()
    changes_per_minute: int | None = None


def create_app(
    version: str,
    jobs: JobViews,
    worklist: Worklist,
    control: JobControl,
    report: SelfReport,
    more: Sequence[APIRouter] = (),
    access: Access = Access(),
) -> FastAPI:
    """Return the application, with more routes. It is alive as long as it answers.

    AssertionError for a route that would let in everybody.

    There is no page at /docs: FastAPI's own loads scripts from another host.
    """
    app = FastAPI(
        title="Thoracle",
        version=version,
        description=_USE,
        responses=ANYWHERE,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.authentication = access.authentication
    if access.changes_per_minute is not None:
        app.state.change_limits = ChangeLimits(access.changes_per_minute)
    _protect(app, access)
    explain_invalid_requests(app)
    list_allowed_methods(app)

    @app.exception_handler(SQLAlchemyError)
    def database_fails(_request: Request, error: SQLAlchemyError) -> JSONResponse:
        log.error("a request was not answered: %s", type(error).__name__)
        return JSONResponse({"detail": "the database fails; /readyz tells more"}, 503)

    @app.get("/healthz", summary="This process works", responses=HEALTH)
    def healthz() -> JSONResponse:
        return answer(report.healthy(), version)

    app.include_router(probes(version, dict, report.ready, report.metrics))
    for router in (view_routes(jobs, worklist), job_routes(control), me_routes(), *more):
        app.include_router(router)
    refuse_open_routes(app)
    return app


def _protect(app: FastAPI, access: Access) -> None:
    """The last one that is added sees a request first."""
    app.add_middleware(LimitBody)
    app.add_middleware(SameOrigin, own=access.origins)
    app.add_middleware(TrustHosts, hosts=access.hosts)
    app.add_middleware(SecurityHeaders)
