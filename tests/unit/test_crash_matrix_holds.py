"""A process is held exactly at the armed moment, and only there."""

import functools
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crash_matrix.holds import Holds, Point
from tests.crash_matrix.states import points

SCRIPT = """
import json
for number in range(3):
    print('before', number, flush=True)
    json.dumps(number)
    print('after', number, flush=True)
"""
DUMPS = Point("worker", "json:dumps", "before", 2)


@pytest.fixture
def holds(tmp_path: Path) -> Holds:
    return Holds(tmp_path / "holds", [DUMPS])


def start(holds: Holds) -> subprocess.Popen[str]:
    """A process of the role `worker`; whoever starts it waits for its end."""
    command = [sys.executable, "-c", SCRIPT, "worker"]
    return subprocess.Popen(command, env={**os.environ, **holds.environment}, stdout=subprocess.PIPE, text=True)


def test_it_is_held_before_the_second_call_and_killed_there(holds: Holds) -> None:
    holds.arm(DUMPS)
    process = start(holds)
    assert holds.reached() == process.pid
    process.kill()
    assert process.communicate()[0].split("\n")[:-1] == ["before 0", "after 0", "before 1"]


def test_it_is_held_at_one_moment_after_the_other_and_then_goes_on(holds: Holds) -> None:
    holds.arm(DUMPS)
    process = start(holds)
    holds.reached()
    holds.release(Point("worker", "json:dumps", "after", 1))
    assert holds.reached() == process.pid
    holds.release()
    assert process.communicate()[0].split("\n")[-2] == "after 2"
    assert process.returncode == 0


@pytest.mark.parametrize("never", [Point("worker", "json:dumps", "before", 4), Point("receiver", "json:dumps")])
def test_a_moment_that_never_comes_is_told(holds: Holds, never: Point) -> None:
    holds.arm(never)
    process = start(holds)
    process.communicate(timeout=60)
    with pytest.raises(TimeoutError):
        holds.reached(0.1)


def test_another_sitecustomize_runs_too(tmp_path: Path, holds: Holds) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('the other one')")
    hooks = holds.environment
    environment = {**os.environ, **hooks, "PYTHONPATH": f"{hooks['PYTHONPATH']}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-c", SCRIPT, "worker"]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert said.stdout.startswith("the other one\nbefore 0\n")


@pytest.mark.parametrize("function", sorted({point.function for point in points()}))
def test_every_moment_of_the_matrix_is_a_function_that_exists(function: str) -> None:
    module, _, name = function.partition(":")
    assert callable(functools.reduce(getattr, name.split("."), importlib.import_module(module)))
