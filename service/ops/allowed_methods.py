"""The header Allow of an answer 405 (RFC 9110, 10.2.1)."""

from collections.abc import Iterator, Sequence

from fastapi import FastAPI, HTTPException, Request
from fastapi.exception_handlers import http_exception_handler
from fastapi.routing import iter_route_contexts
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import Scope


def list_allowed_methods(app: FastAPI) -> None:
    """Make 405 answers list every method of a path: Starlette lists those of its first route only."""

    @app.exception_handler(405)
    async def not_allowed(request: Request, error: HTTPException) -> Response:
        allowed = sorted(set(_methods(app.routes, request.scope)))
        answered = HTTPException(405, error.detail, {"Allow": ", ".join(allowed)})
        return await http_exception_handler(request, answered)


def _methods(routes: Sequence[BaseRoute], scope: Scope) -> Iterator[str]:
    for route in iter_route_contexts(routes):
        if route.methods and route.path_regex.match(scope["path"]):
            yield from route.methods
