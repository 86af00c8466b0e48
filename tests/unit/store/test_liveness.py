"""Locks that end with their process, as files and as advisory locks."""

import fcntl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from helpers.dicom_peers import wait_until

from service.store import liveness
from service.store.advisory_locks import AdvisoryLocks
from service.store.engine import database_engine
from service.store.file_locks import FileLocks
from service.store.liveness import Locks
from service.store.presence import presence, present

HOLD = """
import sys, time
from pathlib import Path
from service.store import liveness
from service.store.engine import database_engine
where = sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1])
locks = liveness.locks(database_engine(where), Path(sys.argv[2]))
print(locks.join("worker"), flush=True)
time.sleep(60)
"""

Hold = Callable[[], subprocess.Popen[str]]


@pytest.fixture
def locks(database: str | Path, tmp_path: Path) -> Locks:
    return liveness.locks(database_engine(database), tmp_path / "locks")


@pytest.fixture
def hold(database: str | Path, tmp_path: Path) -> Hold:
    command = [sys.executable, "-c", HOLD, str(database), str(tmp_path / "locks")]
    return lambda: subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_living_process_is_present_and_a_killed_one_is_not(locks: Locks, hold: Hold) -> None:
    process = hold()
    name = first_line(process)
    assert present(locks, "worker")
    assert not present(locks, "receiver")
    with locks.inherit("worker", name) as dead:
        assert not dead
    process.kill()
    process.wait()
    wait_until(lambda: not present(locks, "worker"), 5)


def test_only_one_inherits_from_a_dead_process(locks: Locks, hold: Hold) -> None:
    process = hold()
    name = first_line(process)
    process.kill()
    process.wait()

    def is_inherited() -> bool:
        with locks.inherit("worker", name) as dead:
            if dead:
                with locks.inherit("worker", name) as again:
                    assert not again
            return dead

    wait_until(is_inherited, 5)
    assert locks.members("worker") == 0


def test_claimed_names_are_those_of_the_living(tmp_path: Path) -> None:
    ours, theirs = FileLocks(tmp_path), FileLocks(tmp_path)
    assert ours.claimed("counting") == frozenset()
    names = {ours.claim("counting", "worker"), ours.claim("counting", "api")}
    script = "import sys; from pathlib import Path; from service.store.liveness import FileLocks; "
    script += "print(FileLocks(Path(sys.argv[1])).claim('counting', 'worker'))"
    dead = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    assert dead.stdout == "worker-1\n"
    assert ours.claimed("counting") == theirs.claimed("counting") == names
    assert theirs.claim("counting", "worker") == "worker-1", "looking takes no name away"


def test_a_claimed_name_is_taken_over_from_the_dead(tmp_path: Path) -> None:
    ours, theirs = FileLocks(tmp_path), FileLocks(tmp_path)
    assert [ours.claim("counting", "worker"), ours.claim("counting", "api")] == ["worker-0", "api-0"]
    assert theirs.claim("counting", "worker") == "worker-1"
    script = "import sys; from pathlib import Path; from service.store.liveness import FileLocks; "
    script += "print(FileLocks(Path(sys.argv[1])).claim('counting', 'worker'))"
    for _ in range(3):
        said = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
        assert said.stdout.strip() == "worker-2", "each has ended before the next begins"


def test_leaving_the_block_ends_the_presence(locks: Locks) -> None:
    with presence(locks, "receiver"), presence(locks, "receiver"):
        assert locks.members("receiver") == 2
        assert locks.held
    assert not present(locks, "receiver")


def test_names_of_a_group_are_unique(locks: Locks) -> None:
    assert locks.join("worker") != locks.join("worker")


def test_a_file_is_never_seen_without_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at the worst moment, before the lock is taken, must not remove the file of a starting process."""
    files = FileLocks(tmp_path)
    lock = fcntl.flock

    def looked_at_before(file: Any, how: int) -> None:
        if how == fcntl.LOCK_EX:
            assert files.members("worker") == 0
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", looked_at_before)
    files.join("worker")
    assert files.members("worker") == 1


def test_files_of_the_dead_are_removed(tmp_path: Path) -> None:
    files = FileLocks(tmp_path)
    left = tmp_path / "worker" / "dead"
    left.parent.mkdir()
    left.touch()
    assert files.members("worker") == 0
    assert not left.exists()


def test_files_beside_sqlite_and_advisory_locks_on_postgresql(engine: sa.Engine, tmp_path: Path) -> None:
    kind = AdvisoryLocks if engine.dialect.name == "postgresql" else FileLocks
    assert isinstance(liveness.locks(engine, tmp_path), kind)


def test_a_named_lock_has_one_holder_until_it_is_gone(database: str | Path, locks: Locks, tmp_path: Path) -> None:
    other = liveness.locks(database_engine(database), tmp_path / "locks")
    assert locks.take("task", "leader") and locks.take("task", "leader"), "it stays ours"
    assert not other.take("task", "leader")
    assert other.take("task", "another")
