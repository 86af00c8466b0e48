"""docker/install-venv.sh, with a Python that lacks venv and an apt-get that only notes how it was called."""

import os
import subprocess
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "docker" / "install-venv.sh"


def install(folder: Path, python_has_venv: bool, user: int) -> tuple[int, str, str]:
    """Exit code, what it said, and the calls of apt-get."""
    calls = folder / "calls"
    calls.touch()
    programs = {
        "python3": f"exit {0 if python_has_venv else 1}",
        "id": f"echo {user}",
        "apt-get": f'echo "$@" >> {calls}',
    }
    for name, does in programs.items():
        (folder / name).write_text(f"#!/bin/sh\n{does}\n")
        (folder / name).chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run([str(SCRIPT)], env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, calls.read_text()


def test_nothing_is_installed_where_venv_is_there(tmp_path: Path) -> None:
    assert install(tmp_path, python_has_venv=True, user=0) == (0, "", "")


def test_root_gets_it_by_apt(tmp_path: Path) -> None:
    code, _, calls = install(tmp_path, python_has_venv=False, user=0)
    assert code == 0
    assert "install -y -qq --no-install-recommends python3-venv" in calls


def test_others_are_told_what_to_install(tmp_path: Path) -> None:
    code, told, calls = install(tmp_path, python_has_venv=False, user=1000)
    assert (code, calls) == (1, "")
    assert "As root: apt-get install python3-venv" in told
