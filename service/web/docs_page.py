"""The page /docs: all operations of the HTTP API, from its OpenAPI document. It needs no script, so there is none."""

from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import FileResponse, Response

from service.ops.access import required_roles
from service.web.pages import STYLE_SHEET, page

_A_DAY = "public, max-age=86400"


def docs_page() -> APIRouter:
    """Return the route, and that of the style sheet of all pages."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    def docs(request: Request) -> Response:
        return page("docs", version=request.app.version, operations=list(operations(request.app)))

    @router.get("/static/style.css")
    def style_sheet() -> Response:
        return FileResponse(STYLE_SHEET, media_type="text/css", headers={"Cache-Control": _A_DAY})

    return router


def operations(app: FastAPI) -> Iterator[dict[str, Any]]:
    """Yield each operation of the document: method, path, summary, role, parameters and answers."""
    roles = required_roles(app)
    for path, methods in app.openapi()["paths"].items():
        for method, operation in methods.items():
            parameters = [{"description": "", "required": False, **one} for one in operation.get("parameters", [])]
            answers = [(status, one["description"]) for status, one in sorted(operation["responses"].items())]
            yield {
                "method": method.upper(),
                "path": path,
                "summary": operation["summary"],
                "role": roles[method.upper(), path] or "none",
                "parameters": parameters,
                "answers": answers,
            }
