"""The durable engine with real processes that are really killed, on SQLite and on PostgreSQL."""

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dbos import DBOSClient
from helpers.dicom_peers import wait_until
from helpers.postgresql import PostgreSQL

SCRIPT = Path(__file__).parents[1] / "helpers" / "flow_process.py"


class Worker:
    """A worker process. analyse_s: how long an analysis takes."""

    def __init__(self, database: str | Path, folder: Path, analyse_s: float) -> None:
        command = [sys.executable, str(SCRIPT), str(database), str(folder), str(analyse_s)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(line.strip() for line in iter(self.process.stdout.readline, ""))

    def tell(self, *words: object) -> None:
        """Give a command and wait until it is done."""
        assert self.process.stdin is not None
        line = " ".join(map(str, words))
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        self.wait_for(f"done {line}")

    def wait_for(self, line: str, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while line not in self.lines:
            assert time.monotonic() < deadline, f"{line!r} never came; there was: {self.lines}"
            time.sleep(0.05)

    def order(self, word: str) -> list[str]:
        """What was said with that word, without it."""
        return [line.removeprefix(word).strip() for line in self.lines if line.startswith(f"{word} ")]

    def stop(self) -> None:
        self.process.communicate(timeout=60)
        self._reader.join()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


Start = Callable[..., Worker]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.peers)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str | Path:
    if request.param == "sqlite":
        return tmp_path / "flow.db"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.create()


@pytest.fixture
def start(database: str | Path, tmp_path: Path) -> Iterator[Start]:
    """Starts workers on one database, each with jobs that are queued first."""
    workers = []

    def worker(analyse_s: float, *jobs: str) -> Worker:
        workers.append(Worker(database, tmp_path, analyse_s))
        for job in jobs:
            workers[-1].tell("study", job, 0)
        return workers[-1]

    yield worker
    for one in workers:
        one.kill()


def test_a_study_is_analysed_once_and_its_delivery_is_tried_again_until_settled(start: Start) -> None:
    worker = start(0.0, "one", "busy")
    worker.wait_for("delivery one pacs 2")
    worker.wait_for("delivery busy pacs 2")
    worker.stop()
    assert worker.lines.count("analysing one 1") == 1
    assert worker.lines.count("delivery one pacs 1") == 1
    assert "analysing busy 2" in worker.lines, "a transient failure is tried again"
    assert worker.process.returncode == 0


def test_a_step_that_raises_strands_nothing_and_ends_nothing(start: Start) -> None:
    worker = start(0.0, "gone", "one")
    worker.wait_for("delivery one pacs 2")
    worker.stop()
    assert worker.lines.count("analysing gone 1") == 1
    assert "analysing gone 2" not in worker.lines, "a job that does not exist is not tried again"
    assert worker.process.returncode == 0


def test_a_step_that_fails_in_a_way_nobody_thought_of_is_tried_again(start: Start, database: str | Path) -> None:
    worker = start(0.0, "broken", "one")
    worker.wait_for("delivery one pacs 2")
    worker.stop()
    states = {row.workflow_id: row.status for row in client(database).list_workflows(workflow_id_prefix="study:broken")}
    assert states == {"study:broken:1": "SUCCESS", "study:broken:2": "DELAYED"}


def test_the_work_of_a_killed_worker_is_taken_over_by_another(start: Start) -> None:
    victim = start(60.0, "one")
    victim.wait_for("analysing one 1")
    heir = start(0.0)
    heir.wait_for("started")
    victim.kill()
    heir.wait_for("analysed one", 15)
    heir.wait_for("delivery one pacs 2")
    heir.stop()


def test_work_that_kills_its_process_again_and_again_is_abandoned(start: Start) -> None:
    for _ in range(7):
        worker = start(60.0, "poison")
        wait_until(lambda one=worker: one.order("analysing") or one.order("abandoned"), 60)
        if worker.order("abandoned") == ["poison"]:
            worker.stop()
            return
        worker.kill()
    pytest.fail("poison work was never abandoned")


def test_the_lowest_priority_goes_first_through_retries_and_deliveries(start: Start) -> None:
    worker = start(1.0, "first")
    worker.wait_for("analysing first 1")
    worker.tell("study", "late", 2_000_000)
    worker.tell("study", "urgent", 1_000_000)
    worker.tell("study", "busy", 1_500_000)
    worker.tell("prioritise", "late", 1_200_000)
    worker.wait_for("delivery busy pacs 2")
    worker.stop()
    assert worker.order("analysing") == ["first 1", "urgent 1", "late 1", "busy 1", "busy 2"]


def test_what_is_running_hands_on_a_priority_that_was_changed_meanwhile(start: Start, database: str | Path) -> None:
    worker = start(2.0)
    worker.tell("study", "one", 5)
    worker.wait_for("analysing one 1")
    worker.tell("prioritise", "one", 3)
    worker.wait_for("delivery one pacs 2")
    worker.stop()
    priorities = {row.workflow_id: row.priority for row in client(database).list_workflows()}
    assert priorities == {"study:one:1": 3, "delivery:one:pacs:1": 3, "delivery:one:pacs:2": 3}


def test_a_priority_that_an_analysis_changed_goes_on_to_the_deliveries(start: Start, database: str | Path) -> None:
    worker = start(0.0, "severe")
    worker.wait_for("delivery severe pacs 2")
    worker.stop()
    priorities = {row.workflow_id: row.priority for row in client(database).list_workflows()}
    assert priorities == {"study:severe:1": 7, "delivery:severe:pacs:1": 7, "delivery:severe:pacs:2": 7}


def test_a_limited_destination_gets_no_more_per_minute(start: Start) -> None:
    worker = start(0.0, "limited-1", "limited-2", "limited-3", "one")
    worker.wait_for("delivery one pacs 2")
    time.sleep(3)
    assert sum("limited" in line for line in worker.order("delivery")) == 2
    worker.stop()


def test_a_delivery_that_waits_long_is_tried_at_once_when_somebody_wants_it(start: Start) -> None:
    worker = start(0.0, "patient")
    worker.wait_for("delivery patient pacs 1")
    time.sleep(1.0)  # the next attempt is queued, for ten minutes later
    worker.tell("deliver", "patient", "pacs")
    worker.wait_for("delivery patient pacs 2")
    worker.stop()


def test_an_analysis_that_waits_long_is_tried_at_once_when_somebody_wants_it(start: Start) -> None:
    worker = start(0.0, "stalled")
    worker.wait_for("analysing stalled 1")
    time.sleep(1.0)  # the next attempt is queued, for ten minutes later
    worker.tell("study", "stalled", 0)
    worker.tell("analyse", "stalled")
    worker.wait_for("analysed stalled")
    assert worker.order("analysing") == ["stalled 1", "stalled 2"]
    worker.stop()


def test_analyses_that_wait_are_tried_when_what_they_waited_for_is_back(start: Start) -> None:
    worker = start(0.0, "stalled", "patient")
    worker.wait_for("analysing stalled 1")
    worker.wait_for("delivery patient pacs 1")
    time.sleep(1.0)  # the next attempts are queued, for ten minutes later
    worker.tell("retry", "studies")
    worker.wait_for("analysed stalled")
    assert worker.order("analysing").count("stalled 2") == 1
    assert "patient pacs 2" not in worker.order("delivery"), "a delivery waits for something else"
    worker.stop()


def test_what_is_remembered_of_a_job_is_discarded_when_nothing_of_it_waits(start: Start, database: str | Path) -> None:
    worker = start(0.0, "patient", "one")
    worker.wait_for("delivery one pacs 2")
    worker.wait_for("delivery patient pacs 1")
    time.sleep(1.0)  # the workflows end
    for job in ("one", "patient", "unknown"):
        worker.tell("discard", job)
    assert worker.order("discarded") == ["one", "unknown"]
    assert worker.order("kept") == ["patient"]
    known = [workflow.workflow_id for workflow in client(database).list_workflows()]
    assert sorted(known) == ["delivery:patient:pacs:1", "delivery:patient:pacs:2", "study:patient:1"]
    worker.tell("deliver", "one", "pacs")
    worker.wait_for("done deliver one pacs")
    wait_until(lambda: worker.order("delivery").count("one pacs 1") == 2)
    worker.stop()


def test_work_queued_by_an_earlier_version_is_done(start: Start, database: str | Path) -> None:
    """Its rows name the workflows, their arguments and their version as the first release did."""
    start(0.0).stop()
    earlier = client(database)
    for name, queue, *arguments in (
        ("study", "studies", "old", 1),
        ("delivery", "destination:pacs", "older", "pacs", 1),
    ):
        workflow_id = ":".join(map(str, (name, *arguments)))
        earlier.enqueue(
            {"workflow_name": name, "queue_name": queue, "workflow_id": workflow_id, "app_version": "flow-1"},
            *arguments,
        )
    worker = start(0.0)
    worker.wait_for("delivery old pacs 2")
    worker.wait_for("delivery older pacs 2")
    worker.stop()


@pytest.mark.peers
@pytest.mark.parametrize("database", ["postgresql"], indirect=True)
def test_a_worker_whose_lock_session_is_cut_stops_at_once_and_another_takes_over(
    start: Start, postgresql: PostgreSQL, database: str
) -> None:
    victim = start(60.0, "one")
    victim.wait_for("analysing one 1")
    heir = start(0.0)
    heir.wait_for("started")
    sessions = (
        "pg_stat_activity JOIN pg_locks USING (pid) WHERE locktype = 'advisory' AND granted AND objsubid = 2"
        f" AND datname = '{database.rsplit('/', 1)[1]}'"
    )
    oldest = postgresql.execute(f"SELECT pg_terminate_backend(pid) FROM {sessions} ORDER BY backend_start LIMIT 1")
    assert oldest == [(True,)]
    assert victim.process.wait(timeout=10) == 1
    assert "lost" in victim.lines
    heir.wait_for("delivery one pacs 2", 15)
    heir.stop()


def client(database: str | Path) -> DBOSClient:
    return DBOSClient(
        system_database_url=str(database) if isinstance(database, str) else f"sqlite:///{database}",
        application_name="thoracle",
    )


def test_a_shadow_comes_after_all_studies_and_is_tried_again(start: Start) -> None:
    worker = start(2.0, "first", "second", "third")
    worker.tell("shadow", "busy")
    worker.tell("prioritise", "busy", 1)
    worker.tell("study", "last", 100)
    worker.wait_for("shadow busy 2")
    worker.stop()
    assert worker.order("analysed") == ["first", "second", "third", "last"]
    assert worker.lines.index("shadow busy 1") > worker.lines.index("analysed last")
    assert worker.order("shadow") == ["busy 1", "busy 2"], "queued twice is queued once"


def test_the_shadow_of_a_killed_worker_is_taken_over_once_and_one_that_only_waits_stops_no_purge(start: Start) -> None:
    victim = start(60.0)
    victim.tell("shadow", "one")
    victim.wait_for("shadow one 1")
    victim.tell("shadow", "two")
    victim.tell("discard", "two")
    assert "discarded two" in victim.lines
    heir = start(0.0)
    heir.wait_for("started")
    heir.tell("discard", "one")
    assert "kept one" in heir.lines, "a job whose candidate is at work is not purged"
    victim.kill()
    heir.wait_for("shadowed one", 30)
    heir.stop()
    assert heir.order("shadow") == ["one 1"], "the other was forgotten"


def test_a_candidate_that_kills_its_worker_twice_is_given_up(start: Start) -> None:
    for _ in range(2):
        victim = start(60.0)
        victim.tell("shadow", "one")
        victim.wait_for("shadow one 1", 90)
        victim.kill()
    heir = start(60.0)
    heir.wait_for("abandoned the shadow of one", 90)
