"""Files that ask for far more than they have: each is refused by name, in bounded memory and time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import hostile_files
from helpers.hostile_files import HOSTILE, Hostile

from service.errors import Reason

pytestmark = pytest.mark.slow

MOST_SECONDS = 60.0
"""Most CPU time of all files together: three times what they take, as a machine may be slow to give memory."""

Outcome = dict[str, Any]


def test_hostile_files_are_refused_by_name_in_little_memory_and_time() -> None:
    """All in one process of their own, and in one test: where tests run side by side, each file is read once."""
    script = Path(hostile_files.__file__)
    found = os.environ | {"PYTHONPATH": str(script.parents[1])}
    done = subprocess.run([sys.executable, "-W", "ignore", script], text=True, capture_output=True, env=found)
    assert done.returncode == 0, done.stderr[-2000:]
    outcomes = {outcome["name"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}
    assert outcomes.keys() == HOSTILE.keys()
    wrong = {name: outcome for name, outcome in outcomes.items() if not _is_as_expected(outcome, HOSTILE[name])}
    assert not wrong, json.dumps(wrong, indent=1)
    assert sum(outcome["seconds"] for outcome in outcomes.values()) < MOST_SECONDS


def _is_as_expected(outcome: Outcome, expected: Hostile) -> bool:
    return (
        set(expected.reasons) <= set(outcome["reasons"])
        and Reason.FAILED not in outcome["reasons"]
        and bool(outcome["reasons"]) == bool(expected.reasons)
        and outcome["identified"] == expected.identified
        and len(outcome["left_out"]) == expected.left_out
        and outcome["peak_bytes"] < expected.most_bytes
    )
