"""Files that ask for far more than they have: each is refused by name, in bounded memory and time."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from helpers import hostile_files
from helpers.hostile_files import HOSTILE

from service.errors import Reason

pytestmark = pytest.mark.slow

MOST_SECONDS = 30.0
"""Of CPU time, all together."""

Outcome = dict[str, Any]


@pytest.fixture(scope="module")
def outcomes() -> dict[str, Outcome]:
    """What became of each, in one process of its own."""
    script = Path(hostile_files.__file__)
    command = [sys.executable, "-W", "ignore", str(script)]
    found = os.environ | {"PYTHONPATH": str(script.parents[1])}
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=found)
    return {outcome["name"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_by_name_in_little_memory(outcomes: dict[str, Outcome], name: str) -> None:
    outcome, expected = outcomes[name], HOSTILE[name]
    assert set(expected.reasons) <= set(outcome["reasons"]), outcome["details"]
    assert Reason.FAILED not in outcome["reasons"] and bool(outcome["reasons"]) == bool(expected.reasons)
    assert outcome["identified"] == expected.identified
    assert len(outcome["left_out"]) == expected.left_out
    assert outcome["peak_bytes"] < expected.most_bytes


def test_all_together_take_little_time(outcomes: dict[str, Outcome]) -> None:
    assert sum(outcome["seconds"] for outcome in outcomes.values()) < MOST_SECONDS
