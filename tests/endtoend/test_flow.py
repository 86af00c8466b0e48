"""The durable engine with real processes that are really killed."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "flow_process.py"


class Worker:
    def __init__(self, folder: Path, analyse_s: float, *jobs: str) -> None:
        command = [sys.executable, str(SCRIPT), str(folder), str(analyse_s), *jobs]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.strip() for line in iter(self.process.stdout.readline, ""))

    def wait_for(self, line: str, seconds: float = 40) -> None:
        deadline = time.monotonic() + seconds
        while line not in self.lines:
            assert time.monotonic() < deadline, f"{line!r} never came; there was: {self.lines}"
            time.sleep(0.05)

    def stop(self) -> None:
        self.process.communicate(timeout=40)
        self._reader.join()


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path


def test_a_study_is_analysed_once_and_its_delivery_is_tried_again_until_settled(folder: Path) -> None:
    worker = Worker(folder, 0.0, "one", "busy")
    worker.wait_for("delivery one pacs 2")
    worker.wait_for("delivery busy pacs 2")
    worker.stop()
    assert worker.lines.count("analysing one 1") == 1
    assert worker.lines.count("delivery one pacs 1") == 1
    assert "analysing busy 2" in worker.lines, "a transient failure is tried again"
    assert worker.process.returncode == 0


def test_a_step_that_raises_strands_nothing_and_ends_nothing(folder: Path) -> None:
    worker = Worker(folder, 0.0, "gone", "one")
    worker.wait_for("delivery one pacs 2")
    worker.stop()
    assert worker.lines.count("analysing gone 1") == 1
    assert "analysing gone 2" not in worker.lines, "a job that does not exist is not tried again"
    assert worker.process.returncode == 0


def test_the_work_of_a_killed_worker_is_taken_over_by_another(folder: Path) -> None:
    victim = Worker(folder, 60.0, "one")
    victim.wait_for("analysing one 1")
    heir = Worker(folder, 0.0)
    heir.wait_for("started")
    victim.process.kill()
    victim.process.wait()
    heir.wait_for("analysed one")
    heir.wait_for("delivery one pacs 2")
    heir.stop()


def test_work_that_kills_its_process_again_and_again_is_abandoned(folder: Path) -> None:
    for _ in range(7):
        worker = Worker(folder, 60.0, "poison")
        deadline = time.monotonic() + 40
        while not any(line.startswith(("analysing poison", "abandoned poison")) for line in worker.lines):
            assert time.monotonic() < deadline, worker.lines
            time.sleep(0.05)
        if "abandoned poison" in worker.lines:
            worker.stop()
            return
        worker.process.kill()
        worker.process.wait()
    pytest.fail("poison work was never abandoned")
