"""The result of an analysis, saved beside its objects: a run after a kill records the saved one, not its own.

The two may differ: meanwhile another model may have become the active one. The paths of its objects are names in the
folder of results.
"""

import json

from pydantic import TypeAdapter

from service.domain.job import Result
from service.store.migrations.versions.v0008_headline import result_of_version_0_2

ENDED = "ended.json"

_RESULT = TypeAdapter(Result)


def to_json(result: Result) -> bytes:
    """The content of the file."""
    return _RESULT.dump_json(result, indent=2)


def from_json(content: bytes) -> Result:
    """From the content of the file; ValueError if it is none.

    Version 0.2 wrote the result below an event, with a score and the codes of flags. What it began and a kill
    interrupted is recorded with all that a result has now.
    """
    document = json.loads(content)
    result = document.get("result", document) if isinstance(document, dict) else None
    if not isinstance(result, dict) or "refusals" not in result:
        raise ValueError("this is no result of an analysis")
    if "severity_total" in result:
        result = result | result_of_version_0_2(result)
    return _RESULT.validate_json(json.dumps(result))
