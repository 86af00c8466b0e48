"""How an analysis ended, kept beside its objects: a run after a kill records that, and not what it found itself.

The two may differ: meanwhile another model may have become the active one.
"""

from dataclasses import dataclass

from pydantic import TypeAdapter

from service.domain.job import Result
from service.domain.job_state import Event

ENDED = "ended.json"


@dataclass(frozen=True, slots=True)
class SavedResult:
    """event: ANALYSE or REFUSE. result: its objects' paths are names in the folder of results."""

    event: Event
    result: Result


_ENDED = TypeAdapter(SavedResult)


def to_json(ended: SavedResult) -> bytes:
    """The content of the file."""
    return _ENDED.dump_json(ended, indent=2)


def from_json(content: bytes) -> SavedResult:
    """From the content of the file; ValueError if it is none."""
    return _ENDED.validate_json(content)
