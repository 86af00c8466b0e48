"""Field types that several answers share."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, PlainSerializer, WithJsonSchema

Time = Annotated[
    datetime,
    PlainSerializer(datetime.isoformat, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""In UTC, with its offset: 2026-11-30T08:00:00+00:00 (ISO 8601)."""

Document = dict[str, Any]
"""A document whose fields another page describes."""


class Headline(BaseModel):
    """The one result to show in a list. value: null where it could not be determined; max: null on an open scale."""

    name: str
    value: float | int | None
    max: float | int | None
    unit: str
    category: str | None = None
    words: str = ""
    remark: str = ""


class Page(BaseModel):
    """A part of a list: `limit` entries at most, after the first `offset`."""

    limit: int
    offset: int
