"""`emphysema-index`, a pipeline in a package of its own: how tests install it for themselves alone."""

import os
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "emphysema_index"
"""A folder of `sys.path` that holds the package and its entry point."""

NAME = "emphysema-index"


def environment() -> dict[str, str]:
    """Environment of a process in which the package is installed."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(FOLDER), os.environ.get("PYTHONPATH"))))}
