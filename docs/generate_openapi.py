"""Writes docs/reference/openapi.json from the routes themselves: `python docs/generate_openapi.py [--check]`."""

import json
import sys
from pathlib import Path
from typing import Any

from service import __version__
from service.ops.api import SelfReport, create_app
from service.ops.audit_routes import audit_routes
from service.ops.model_routes import model_routes

PAGE = Path(__file__).parent / "reference" / "openapi.json"


def document() -> str:
    """Return the OpenAPI document of the whole API, which nothing has to answer for."""
    nothing: Any = None
    more = [model_routes(nothing), audit_routes(nothing, nothing)]
    app = create_app(__version__, nothing, nothing, nothing, SelfReport(dict, dict, bytes), more)
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if "--check" in sys.argv:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == document()
        sys.exit(0 if same else f"{PAGE.name} is out of date: run {Path(__file__).name}")
    PAGE.write_text(document(), encoding="utf-8")
