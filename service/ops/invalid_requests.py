"""Answers requests that are not as their route wants them: what is wrong and where, never what was sent."""

from collections.abc import Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

MOST_ERRORS = 10
LONGEST_TEXT = 300
MOST_STEPS = 10


def explain_invalid_requests(app: FastAPI) -> None:
    """FastAPI's own answer holds the whole input, and fails where that is no JSON, as infinity."""

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse({"detail": described(error.errors())}, 422)


def described(errors: Sequence[Any]) -> list[dict[str, Any]]:
    """Returns the first errors: type, place and message of each, none of them long."""
    first = [
        {
            "type": _short(error["type"]),
            "loc": [part if isinstance(part, int) else _short(part) for part in error["loc"][:MOST_STEPS]],
            "msg": _short(error["msg"]),
        }
        for error in errors[:MOST_ERRORS]
    ]
    left_out = len(errors) - len(first)
    return first + ([{"type": "more", "loc": [], "msg": f"{left_out} more errors"}] if left_out else [])


def _short(text: object) -> str:
    """The name of an unknown field is the sender's: of any length, and perhaps no text that can be sent."""
    whole = str(text).encode(errors="replace").decode()
    return whole if len(whole) <= LONGEST_TEXT else f"{whole[: LONGEST_TEXT - 1]}…"
