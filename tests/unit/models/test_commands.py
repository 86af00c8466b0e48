"""Every served model has a `make train-<model>` that leads to a command which explains itself."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.shared_data import tool

from models.repository import SPECS

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", [*(spec.name for spec in SPECS), "triage-infection", "classifier"])
def test_make_trains_every_model(name: str) -> None:
    dry = [tool("make"), "--dry-run", "--no-print-directory", f"train-{name}", "DATA=/data", "ARGS=--help"]
    printed = subprocess.run(dry, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    found = re.search(r"-m (models\.\S+) --data /data .*--help$", printed)
    assert found, printed
    helped = subprocess.run([sys.executable, "-m", found[1], "--help"], cwd=ROOT, capture_output=True, text=True)
    assert helped.returncode == 0, helped.stderr
    assert "--data" in helped.stdout
