"""What tests need but the project does not hold: real CTs beside it, and tools of other makers.

Absent: the test skips and says so; in CI it fails.
"""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def shared_data(name: str) -> Path:
    """Folder or file `name` (say "dicom/rider-lung") of the shared data."""
    path = SHARED / name
    if not path.exists():
        absent(f"shared data {name} is not beside the project")
    return path


def tool(name: str) -> str:
    """Path of a program that has to be installed, say "dciodvfy"."""
    path = shutil.which(name)
    if path is None:
        absent(f"{name} is not installed")
    return path


def absent(reason: str) -> NoReturn:
    """Skip the running test; fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
