"""Fields of a form that a browser sends (application/x-www-form-urlencoded), and the cookies of pages."""

from collections.abc import Mapping
from typing import Literal
from urllib.parse import parse_qsl

from fastapi import HTTPException, Request
from fastapi.responses import Response

_MOST_FIELDS = 10


async def form_fields(request: Request) -> Mapping[str, str]:
    """Return the fields by name. HTTPException 400 for what is no form, has a field twice, or text that is none."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
        raise HTTPException(400, "a form is expected")
    try:
        text = (await request.body()).decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError as error:
        raise HTTPException(400, "the form cannot be read") from error
    fields = dict(pairs)
    if len(fields) < len(pairs) or any("\0" in value for value in fields.values()):
        raise HTTPException(400, "the form cannot be read")
    return fields


def set_cookie(answer: Response, name: str, value: str, strict: bool = False, seconds: int | None = None) -> None:
    """Give a browser a cookie that no script reads and that no other site's change carries. seconds: None: until the
    browser ends."""
    same_site: Literal["strict", "lax"] = "strict" if strict else "lax"
    answer.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite=same_site)


def delete_cookie(answer: Response, name: str) -> None:
    """Take a cookie back."""
    answer.delete_cookie(name, path="/", secure=True, httponly=True, samesite="lax")
