import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from service.store.presence import Presence, present

HOLD = """
import sys, time
from pathlib import Path
from service.store.presence import Presence
with Presence(Path(sys.argv[1]), "worker", {"models": ["a"]}):
    print("up", flush=True)
    time.sleep(60)
"""


def test_a_living_process_is_present_with_its_facts_and_a_killed_one_is_not(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    assert present(tmp_path, "worker") == [{"models": ["a"]}]
    assert present(tmp_path, "receiver") == []
    process.kill()
    process.wait()
    assert present(tmp_path, "worker") == []


def test_leaving_the_block_ends_the_presence(tmp_path: Path) -> None:
    with Presence(tmp_path, "receiver", {}):
        assert [json.loads(p.read_text()) for p in tmp_path.iterdir()] == [{}]
    assert list(tmp_path.iterdir()) == []


def test_processes_with_the_same_id_in_two_containers_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)
    with Presence(tmp_path, "worker", {"n": 1}):
        with Presence(tmp_path, "worker", {"n": 2}):
            assert sorted(facts["n"] for facts in present(tmp_path, "worker")) == [1, 2]
        assert present(tmp_path, "worker") == [{"n": 1}]


def test_a_file_is_never_seen_without_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looking at the worst moment, before the lock is taken, must not remove the file of a starting process."""
    lock = fcntl.flock

    def looked_at_before(file: Any, how: int) -> None:
        if how == fcntl.LOCK_EX:
            assert present(tmp_path, "worker") == []
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", looked_at_before)
    with Presence(tmp_path, "worker", {"n": 1}):
        assert present(tmp_path, "worker") == [{"n": 1}]
