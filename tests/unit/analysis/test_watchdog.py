"""What ends an analysis: it is asked to, and what does not hear ends with its process."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.dicom_peers import wait_until
from helpers.runner_bench import ANALYSED, NOW, Bench

from service.analysis.analyst import Outcome
from service.analysis.memory import machine_bytes, rss_bytes
from service.analysis.watchdog import JobLimits, Watchdog
from service.domain.job_state import State
from service.domain.work import NOTHING_TO_DELIVER, Deliver
from service.errors import Transient

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).parents[2] / "helpers" / "watched_process.py"
ROOT = Path(__file__).parents[3]


def process(folder: Path, kind: str, time_s: float = 60, memory_bytes: float = 1e12) -> subprocess.Popen[str]:
    command = [sys.executable, SCRIPT, folder, kind, time_s, memory_bytes]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def ended(one: subprocess.Popen[str]) -> tuple[int, list[str], str]:
    output, log = one.communicate(timeout=60)
    return one.returncode, output.splitlines(), log


@pytest.mark.parametrize("kind", ["loop", "lock", "numpy"])
def test_what_does_not_hear_ends_with_its_process_and_is_recorded(tmp_path: Path, kind: str) -> None:
    code, output, log = ended(process(tmp_path, kind, time_s=0.5))
    why = "the analysis ran longer than 0.5 s"
    assert (code, output) == (1, ["begun", "calls are cancelled", f"recorded {why}", "counted time", "ended"])
    assert f"in {kind}" in log, "the log tells where it was"


def test_memory_beyond_the_limit_ends_it(tmp_path: Path) -> None:
    code, output, _ = ended(process(tmp_path, "hog", memory_bytes=3e8))
    assert code == 1 and output[2].startswith("recorded the analysis took the worker's memory beyond 0.")
    assert output[3:] == ["counted memory", "ended"]


def test_a_job_that_nobody_wants_any_more_ends_its_process_without_a_record(tmp_path: Path) -> None:
    one = process(tmp_path, "lock")
    assert one.stdout is not None and one.stdout.readline() == "begun\n"
    began = time.monotonic()
    (tmp_path / "unwanted").touch()
    code, output, _ = ended(one)
    assert (code, output) == (1, ["calls are cancelled", "counted unwanted", "ended"])
    assert time.monotonic() - began < 10


def test_code_that_keeps_the_interpreter_ends_with_its_process_and_the_next_one_knows(tmp_path: Path) -> None:
    code, output, _ = ended(process(tmp_path, "regex", time_s=0.5))
    assert (code, output) == (1, ["begun"])
    code, output, log = ended(process(tmp_path, "none"))
    why = "the analysis ran longer than 60 s and blocked its whole process"
    assert (code, output) == (0, ["counted time", f"stopped {why}"])
    assert "in regex" in log
    assert ended(process(tmp_path, "none"))[1] == ["begun", "not stopped"], "it is told once"


def never() -> None:
    raise AssertionError("the process must not end")


class Asking:
    """An analysis that hears: it reports progress until it is stopped."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self.begun = 0

    def analyse(self, files: object, progress: Callable[[str, float], None], *_: object) -> Outcome:
        self.begun += 1
        while True:
            progress("lungs", 0.5)
            time.sleep(0.01)


def watched(folder: Path, limits: JobLimits, counted: list[str]) -> Bench:
    dog = Watchdog(limits, folder / "run", lambda: True, counted.append, never)
    dog.start()
    return Bench(folder, dog)


def test_a_worker_that_an_earlier_analysis_left_too_large_ends_and_fails_no_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class SavedResult(Exception):
        pass

    def end() -> None:
        raise SavedResult

    monkeypatch.setattr("service.analysis.watchdog.rss_bytes", lambda: 0.95 * machine_bytes())
    recorded: list[str] = []
    dog = Watchdog(JobLimits(), tmp_path, lambda: True, recorded.append, end)
    with pytest.raises(SavedResult), dog.over("job", NoCalls(), lambda: True, recorded.append):
        raise AssertionError("it must not be analysed here")
    assert recorded == [], "the next process takes the job up"


class NoCalls:
    """A back end that is never asked."""


def test_an_analysis_over_its_time_fails_by_name_and_the_next_job_is_analysed(tmp_path: Path) -> None:
    counted: list[str] = []
    bench = watched(tmp_path, JobLimits(time_s=0.5), counted)
    bench.analyse = Asking(bench).analyse  # type: ignore[method-assign]
    bench.on = lambda backend: bench  # type: ignore[method-assign]
    assert bench.runner.analyse(bench.job_id, 1) == NOTHING_TO_DELIVER
    assert (bench.state, bench.error) == (State.FAILED, "the analysis ran longer than 0.5 s")
    assert counted == ["time"]
    bench.analyse = lambda *study: ANALYSED  # type: ignore[method-assign]
    assert bench.runner.analyse(bench.receive_another_slice(), 1) == Deliver(("pacs",))


def test_cancelling_a_running_job_ends_its_step_within_seconds(tmp_path: Path) -> None:
    counted: list[str] = []
    bench = watched(tmp_path, JobLimits(), counted)

    def cancel_then_report(files: object, progress: Callable[[str, float], None], *rest: object) -> Outcome:
        bench.operator.cancel(bench.job_id, "Kim")
        return Asking(bench).analyse(files, progress)

    bench.analyse = cancel_then_report  # type: ignore[method-assign]
    bench.on = lambda backend: bench  # type: ignore[method-assign]
    began = time.monotonic()
    assert bench.runner.analyse(bench.job_id, 1) == NOTHING_TO_DELIVER
    assert time.monotonic() - began < 10
    assert (bench.state, counted) == (State.CANCELLED, ["unwanted"])
    assert ("study", "failed") not in bench.seen


def test_what_the_back_end_raises_when_it_is_cancelled_is_no_outage(tmp_path: Path) -> None:
    counted: list[str] = []
    bench = watched(tmp_path, JobLimits(time_s=0.5), counted)
    cancelled: list[bool] = []
    bench.served.backend.cancel = lambda: cancelled.append(True)  # type: ignore[method-assign]

    def wait_for_the_server(*_: object) -> Outcome:
        wait_until(lambda: cancelled, 20)
        raise Transient("the request was cancelled")

    bench.analyse = wait_for_the_server  # type: ignore[method-assign]
    bench.on = lambda backend: bench  # type: ignore[method-assign]
    assert bench.runner.analyse(bench.job_id, 1) == NOTHING_TO_DELIVER
    assert (bench.state, bench.error) == (State.FAILED, "the analysis ran longer than 0.5 s")


def test_a_candidate_over_its_time_costs_no_study_its_result(tmp_path: Path) -> None:
    counted: list[str] = []
    bench = watched(tmp_path, JobLimits(time_s=0.5), counted)
    bench.served.candidates = frozenset({"lobes"})
    asking = Asking(bench)

    def by_candidate_then_active(*study: object) -> Outcome:
        return ANALYSED if asking.begun else asking.analyse(*study[:2])  # type: ignore[arg-type]

    bench.analyse = by_candidate_then_active  # type: ignore[method-assign]
    bench.on = lambda backend: bench  # type: ignore[method-assign]
    assert bench.runner.analyse(bench.job_id, 1) == Deliver(("pacs",))
    assert bench.seen[0] == ("without", bench.job_id, "lobes", "2", "the analysis ran longer than 0.5 s")


def test_the_memory_of_process_and_machine_are_known() -> None:
    assert 10e6 < rss_bytes() < machine_bytes() < 1e14


@pytest.mark.parametrize(("seconds", "state"), [(-60, State.DELIVERING), (60, State.FAILED)])
def test_what_an_earlier_analysis_left_on_this_host_does_not_fail_a_later_one(
    tmp_path: Path, seconds: float, state: State
) -> None:
    """Another host failed the job meanwhile, and an operator retried it here; or this very analysis blocked it."""
    bench = watched(tmp_path, JobLimits(), [])
    bench.jobs.start(bench.job_id, NOW)
    bench.on = lambda backend: bench  # type: ignore[method-assign]
    marker = tmp_path / "run" / f"stuck-{bench.job_id}"
    marker.parent.mkdir(exist_ok=True)
    marker.write_text("in regex")
    os.utime(marker, (at := NOW.timestamp() + seconds, at))
    bench.runner.analyse(bench.job_id, 1)
    assert bench.state is state and not marker.exists()
