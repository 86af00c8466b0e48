"""The outcome of an analysis, saved beside its objects: a run after a kill records the saved one, not its own.

The two may differ: meanwhile another model may have become the active one.
"""

import json
from dataclasses import dataclass

from pydantic import TypeAdapter

from service.domain.job import Result
from service.domain.job_state import Event
from service.store.migrations.versions.v0008_headline import result_of_version_0_2

ENDED = "ended.json"


@dataclass(frozen=True, slots=True)
class SavedResult:
    """event: ANALYSE or REFUSE. result: its objects' paths are names in the folder of results."""

    event: Event
    result: Result


_SAVED = TypeAdapter(SavedResult)


def to_json(ended: SavedResult) -> bytes:
    """The content of the file."""
    return _SAVED.dump_json(ended, indent=2)


def from_json(content: bytes) -> SavedResult:
    """From the content of the file; ValueError if it is none.

    Version 0.2 wrote a score and the codes of flags. What it began and a kill interrupted is recorded with both.
    """
    document = json.loads(content)
    result = document.get("result") if isinstance(document, dict) else None
    if isinstance(result, dict) and "severity_total" in result:
        document["result"] = result | result_of_version_0_2(result)
    return _SAVED.validate_json(json.dumps(document))
