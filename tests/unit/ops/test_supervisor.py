"""The supervisor, as a real process with real children."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

SCRIPT = """
import sys
from service.ops.supervisor import Program, supervise
child = Program([sys.executable, "-c", sys.argv[1]])
sys.exit(supervise({"child": child}, stop_timeout_s=float(sys.argv[2])))
"""
# Notes its start in a file; then dies by itself, waits, or ignores being asked to stop.
DIES = "open({0!r}, 'a').write('started\\n')"
WAITS = DIES + "; import time; time.sleep(60)"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + WAITS
HOPELESS = DIES + "; import sys; sys.exit(78)"
COUNTS = "; import sys, time; n = open({0!r}).read().count('started'); "
DIES_TWICE = DIES + COUNTS + "sys.exit([1, 78][n - 1]) if n < 3 else time.sleep(60)"
POLITE = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(0)); " + WAITS


def starts(note: Path, count: int) -> None:
    deadline = time.monotonic() + 20
    while not note.exists() or note.read_text().count("started") < count:
        assert time.monotonic() < deadline, "the child was not started often enough"
        time.sleep(0.05)


def run(child: str, note: Path, count: int, timeout_s: float = 20) -> int:
    command = [sys.executable, "-c", SCRIPT, child.format(str(note)), str(timeout_s)]
    supervisor = subprocess.Popen(command)
    starts(note, count)
    supervisor.send_signal(signal.SIGTERM)
    return supervisor.wait(30)


@pytest.mark.slow
def test_a_child_that_dies_is_started_again(tmp_path: Path) -> None:
    assert run(DIES, tmp_path / "note", count=2) == 0


def test_a_child_that_no_restart_would_mend_ends_all(tmp_path: Path) -> None:
    note = tmp_path / "note"
    command = [sys.executable, "-c", SCRIPT, HOPELESS.format(str(note)), "20"]
    assert subprocess.run(command, timeout=30).returncode == 1
    assert note.read_text().count("started") == 1


@pytest.mark.slow
def test_a_child_that_ran_before_is_started_again_however_it_ends(tmp_path: Path) -> None:
    assert run(DIES_TWICE, tmp_path / "note", count=3) == 0


def test_children_are_asked_to_stop_and_a_clean_stop_is_a_success(tmp_path: Path) -> None:
    assert run(POLITE, tmp_path / "note", count=1) == 0


def test_a_child_that_does_not_stop_is_killed_and_the_stop_is_not_clean(tmp_path: Path) -> None:
    assert run(DEAF, tmp_path / "note", count=1, timeout_s=1) == 1


def test_children_end_with_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "note"
    supervisor = subprocess.Popen([sys.executable, "-c", SCRIPT, WAITS.format(str(note)), "20"])
    starts(note, 1)
    [child] = psutil.Process(supervisor.pid).children()
    supervisor.kill()
    supervisor.wait()
    deadline = time.monotonic() + 10
    # Nobody may reap it in a container: a zombie has ended too.
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the child outlived its supervisor"
        time.sleep(0.05)
