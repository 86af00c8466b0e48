"""Answers other than 200, as the OpenAPI document tells of them."""

from typing import Any

from pydantic import BaseModel

Answers = dict[int | str, dict[str, Any]]


class Refused(BaseModel):
    """The body of an answer that refuses a request: it tells why."""

    detail: str


def _answer(description: str) -> dict[str, Any]:
    return {"model": Refused, "description": description}


ANYWHERE: Answers = {
    400: _answer("The host is none of this service, or the request cannot be read"),
    413: _answer("The body of the request is too large"),
    503: _answer("The database fails, or the back end is away"),
}
WHO: Answers = {
    401: _answer("It is not known who asks"),
    403: _answer("Who asks may not do this, or a page of another site asks"),
}
UNKNOWN: Answers = {404: _answer("There is none of this name")}
CHANGES: Answers = {
    **UNKNOWN,
    409: _answer("The change is not possible"),
    429: _answer("This address asks for too many changes"),
}
