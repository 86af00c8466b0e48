"""Types of what a request may hold. A value outside is answered 422, in words, before any database sees it.

Each route names its parameters by these types, so none of them can reach what SQLite, PostgreSQL or JSON cannot hold:
integers beyond 64 bits, times beyond the years that there are, NUL, halves of surrogate pairs, infinity.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from annotated_types import Ge, Gt, Le, MaxLen, MinLen
from fastapi import Query
from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

MOST_ROWS = 1000
MOST_DESTINATIONS = 20
EARLIEST_YEAR, LATEST_YEAR = 1900, 2999


def _storable(text: str) -> str:
    """The text; ValueError for characters that a database or an answer cannot hold."""
    if "\0" in text:
        raise ValueError("a text cannot hold the character NUL")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("a text cannot hold half of a surrogate pair") from error
    return text


def _is_written_out(value: object) -> object:
    """The value; ValueError for a number, which pydantic would take for seconds since 1970."""
    if isinstance(value, str) and not value.strip()[4:5] == "-":
        raise ValueError("a time is written as 2026-11-30T08:00:00Z (ISO 8601)")
    return value


def _of_our_age(time: datetime) -> datetime:
    """The time; ValueError for one that may have no equal in UTC."""
    if not EARLIEST_YEAR <= time.year <= LATEST_YEAR:
        raise ValueError(f"the year lies from {EARLIEST_YEAR} to {LATEST_YEAR}")
    return time


# FastAPI forgets these limits where a route gives a Query of its own as the default, unless the parameter may be None.
Text = Annotated[str, AfterValidator(_storable), Field(json_schema_extra={"pattern": r"^[^\x00]*$"})]
JobId = Annotated[Text, MinLen(1), MaxLen(64)]
ModelName = Annotated[Text, MinLen(1), MaxLen(128)]
ModelVersion = Annotated[Text, MinLen(1), MaxLen(32)]
Uid = Annotated[Text, MaxLen(128)]
Subject = Annotated[Text, MaxLen(128)]
Limit = Annotated[int, Ge(1), Le(MOST_ROWS)]
Offset = Annotated[int, Ge(0), Le(1_000_000_000)]
Since = Annotated[
    datetime,
    BeforeValidator(_is_written_out),
    AfterValidator(_of_our_age),
    WithJsonSchema(
        {"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}], "pattern": r"^(19|2\d)\d\d-"}
    ),
]
Share = Annotated[float, Gt(0), Le(1), Query(description="above 0, up to 1")]
Score = Annotated[int, Ge(0), Le(1_000_000_000)]
Destinations = Annotated[
    Sequence[Annotated[Text, MaxLen(32)]], MaxLen(MOST_DESTINATIONS), Query(description="only there")
]
