"""Nobody waits for libraries that a command or a process does not need."""

import subprocess
import sys

import pytest

from service.cli.lazy import COMMANDS, loaded

pytestmark = pytest.mark.slow

ANALYSING = {"SimpleITK", "dbos", "highdicom", "reportlab", "scipy"}
HEAVY = {"alembic", "fastapi", "numpy", "onnxruntime", "pydicom", "pynetdicom", "sqlalchemy"} | ANALYSING


def imported(program: str) -> set[str]:
    ended = "; import sys; print('modules:', *sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program + ended], capture_output=True, text=True, check=True)
    return set(done.stderr.partition("modules:")[2].split())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name: str) -> None:
    assert " ".join(loaded(name).help.split()).startswith(COMMANDS[name])


def test_the_list_of_commands_comes_at_once() -> None:
    program = "from service.cli import app; app(['--help'], standalone_mode=False)"
    modules = imported(program)
    assert "service.cli.lazy" in modules
    assert modules & HEAVY == set()


@pytest.mark.parametrize("role", ["together", "receiver", "api"])
def test_only_a_worker_loads_what_analyses(role: str) -> None:
    modules = imported(f"import service.cli.serve, service.roles.{role}")
    assert f"service.roles.{role}" in modules
    assert modules & ANALYSING == set()


def test_a_worker_loads_what_analyses() -> None:
    assert imported("import service.roles.worker") >= ANALYSING
