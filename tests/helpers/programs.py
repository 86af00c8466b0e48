"""Programs of others that tests run. Absent: skip with the reason; in CI: fail."""

import os
import shutil
import sys
from pathlib import Path

import pytest


def program(name: str) -> str:
    """Path of a program, from the environment's own scripts (dcmqi) or the system (dicom3tools, poppler-utils)."""
    scripts = str(Path(sys.executable).parent)
    found = shutil.which(name, path=os.pathsep.join((scripts, os.environ.get("PATH", ""))))
    if found is not None:
        return found
    reason = f"{name} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
