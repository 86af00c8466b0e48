"""`<repository>/serving.json`: what is served of each model. Without the file, the highest version of each.

    {"lobes": {"active": "2", "previous": "1", "candidate": {"version": "3", "share": 0.1, "shadow": true}}}

A model that it does not name is served in its highest version, as in repositories older than the file. `active` "" is a
model that is installed and not served.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from service.domain.serving import Candidate, Served, Serving
from service.errors import Permanent

SERVING = "serving.json"


def read_serving(repository: Path, highest: Mapping[str, str]) -> Serving:
    """What is served of each model; Permanent if the file cannot be read.

    highest: the highest version of each model that is installed. What the file says about others is not looked at.
    """
    path = repository / SERVING
    try:
        said = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        known = {name: _served(one) for name, one in said.items()}
        return {name: known.get(name, Served(version)) for name, version in highest.items()}
    except OSError as exc:
        raise Permanent(f"What is served, {path}, cannot be read: {exc.strerror}.") from exc
    except (ValueError, TypeError, KeyError, AttributeError) as exc:
        raise Permanent(
            f"{path} does not say which versions are served ({type(exc).__name__}). Only `thoracle models` writes it."
        ) from exc


def render_serving(serving: Serving) -> str:
    """The text of the file."""
    return json.dumps({name: asdict(served) for name, served in serving.items()}, indent=2, sort_keys=True) + "\n"


def _served(said: Mapping[str, Any]) -> Served:
    candidate = said["candidate"]
    served = Served(
        said["active"],
        said["previous"],
        candidate and Candidate(candidate["version"], float(candidate["share"]), candidate["shadow"]),
    )
    versions = (served.active, served.previous or "", served.candidate.version if served.candidate else "")
    if not all(version == "" or version.isdigit() for version in versions):
        raise ValueError("a version is a number")
    return served
