"""The durable engine: DBOS Transact. Nothing else in the package knows it.

Two workflows, each a row in the engine's database before anything runs:

    study(job_id, attempt)                 analyse once; then one delivery per destination is queued
    delivery(job_id, destination, attempt) ONE attempt; waiting for the next one is a DELAYED row, never a sleep

Steps run at least once: after a kill the step that was running runs again, so steps are idempotent. Steps return
values and never raise (an exception may not survive pickling). Workflow ids are deterministic: queueing twice is one.
The jobs table says what is to be done; `ensure_study` and `ensure_delivery` queue it where no workflow is at it.

Liveness: every worker process holds a file lock named after its executor id; the kernel frees it the moment the
process dies. A watcher thread in each worker takes over the pending work of executors whose lock is free.
"""

import fcntl
import logging
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

import sqlalchemy as sa
from dbos import DBOS, SetEnqueueOptions, SetWorkflowID

from service.domain.job import IllegalTransition
from service.store.engine import sqlite_engine

log = logging.getLogger(__name__)

# A new version strands pending work of the old one; change it only together with a migration of open workflows.
_WORKFLOW_VERSION = "flow-1"
_MAX_RECOVERIES = 5
_LOST_AFTER_S = 30.0
_STUDIES = "studies"
_DEAD = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
_AT_IT = ("ENQUEUED", "DELAYED", "PENDING", _DEAD)
_STEP_RETRY_S = 30.0

_Answer = TypeVar("_Answer")


class Work(Protocol):
    """What the engine drives. Every method is idempotent and raises only what keeps it from reaching the database."""

    def analyse(self, job_id: str, attempt: int) -> Sequence[str] | float:
        """Analyse one job: the destinations to deliver to, or the seconds until the next attempt."""
        ...

    def deliver(self, job_id: str, destination: str, attempt: int) -> float | None:
        """One delivery attempt: None when settled, or the seconds until the next attempt."""
        ...

    def abandon(self, job_id: str) -> None:
        """The job's processes died again and again: mark it failed."""
        ...


class Flow:
    """The engine of one worker process. Only one per process may be started."""

    def __init__(self, database: Path, locks_dir: Path, destinations: Sequence[str], work: Work) -> None:
        self._database = database
        self._locks_dir = locks_dir
        self._destinations = tuple(destinations)
        self._work = work
        self._executor = f"{socket.gethostname()}-{uuid.uuid4().hex[:12]}"
        self._own_lock: IO[str] | None = None
        self._running: set[str | None] = set()
        self._suspects: dict[str, float] = {}
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="flow-watcher", daemon=True)
        self._study, self._delivery = self._register(work)

    def start(self) -> None:
        """Create or migrate the engine's tables, take our lock, start the queues and the watcher."""
        self._locks_dir.mkdir(parents=True, exist_ok=True)
        self._own_lock = self._try_lock(self._executor)
        DBOS.migrate(f"sqlite:///{self._database}")
        engine = sqlite_engine(self._database)
        DBOS(
            config={
                "name": "thoracle",
                "system_database_url": str(engine.url),
                "system_database_engine": engine,
                "run_migrations": False,
                "executor_id": self._executor,
                "application_version": _WORKFLOW_VERSION,
                "log_level": "WARNING",
            }
        )
        DBOS.launch()
        DBOS.register_queue(_STUDIES, worker_concurrency=1, polling_interval_sec=0.2)
        for name in self._destinations:
            DBOS.register_queue(_queue(name), global_concurrency=1, polling_interval_sec=0.2)
        self._watcher.start()

    def stop(self, wait_s: int = 30) -> bool:
        """Stop taking work and let running steps end for up to `wait_s`. True if nothing is left running here.

        Our lock is freed by the kernel when the process ends, not before: until then the work is still ours.
        """
        self._stop.set()
        self._watcher.join()
        DBOS.destroy(workflow_completion_timeout_sec=wait_s)
        if not self._running:
            (self._locks_dir / self._executor).unlink(missing_ok=True)
        return not self._running

    def ensure_study(self, job_id: str) -> None:
        """Queue the analysis of a job unless a workflow waits for it or is at it."""
        if (attempt := _next_attempt(f"study:{job_id}:")) is not None:
            self._enqueue_study(job_id, attempt, None)

    def ensure_delivery(self, job_id: str, destination: str) -> None:
        """Queue a delivery unless a workflow waits for it or is at it."""
        if (attempt := _next_attempt(f"delivery:{job_id}:{destination}:")) is not None:
            self._enqueue_delivery(job_id, destination, attempt, None)

    @property
    def alive(self) -> bool:
        """Does the watcher still watch?"""
        return self._watcher.is_alive()

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Notes that this process really runs the current workflow."""
        workflow_id = DBOS.workflow_id
        self._running.add(workflow_id)
        try:
            yield
        finally:
            self._running.discard(workflow_id)

    def _enqueue_study(self, job_id: str, attempt: int, delay_s: float | None) -> None:
        self._enqueue(_STUDIES, self._study, f"study:{job_id}:{attempt}", delay_s, job_id, attempt)

    def _register(self, work: Work) -> tuple[Any, Any]:
        """The two workflows; the engine takes plain functions only, so they close over this object."""

        @DBOS.step(name="analyse")
        def analyse(job_id: str, attempt: int) -> Sequence[str] | float:
            return _settle(lambda: work.analyse(job_id, attempt), ())

        @DBOS.step(name="deliver")
        def deliver(job_id: str, destination: str, attempt: int) -> float | None:
            return _settle(lambda: work.deliver(job_id, destination, attempt), None)

        @DBOS.workflow(name="study", max_recovery_attempts=_MAX_RECOVERIES)
        def study(job_id: str, attempt: int) -> None:
            with self._at_work():
                result = analyse(job_id, attempt)
                if isinstance(result, (int, float)):
                    self._enqueue_study(job_id, attempt + 1, float(result))
                    return
                for destination in result:
                    self._enqueue_delivery(job_id, destination, 1, None)

        @DBOS.workflow(name="delivery", max_recovery_attempts=_MAX_RECOVERIES)
        def delivery(job_id: str, destination: str, attempt: int) -> None:
            with self._at_work():
                wait_s = deliver(job_id, destination, attempt)
                if wait_s is not None:
                    self._enqueue_delivery(job_id, destination, attempt + 1, wait_s)

        return study, delivery

    def _enqueue_delivery(self, job_id: str, destination: str, attempt: int, delay_s: float | None) -> None:
        workflow_id = f"delivery:{job_id}:{destination}:{attempt}"
        # A destination that was taken out of the configuration has no queue; its deliveries are only to be settled.
        queue = _queue(destination) if destination in self._destinations else _STUDIES
        self._enqueue(queue, self._delivery, workflow_id, delay_s, job_id, destination, attempt)

    @staticmethod
    def _enqueue(queue: str, workflow: Any, workflow_id: str, delay_s: float | None, *args: object) -> None:
        with SetWorkflowID(workflow_id), SetEnqueueOptions(delay_seconds=delay_s):
            DBOS.enqueue_workflow(queue, workflow, *args)

    def _try_lock(self, executor: str) -> IO[str] | None:
        handle = (self._locks_dir / executor).open("a")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            return None
        return handle

    def _watch(self) -> None:
        while not self._stop.wait(2.0):
            try:
                self._take_over_dead_executors()
                self._abandon_poison_work()
                self._resume_lost_work()
            except sa.exc.SQLAlchemyError as error:
                log.warning("engine database is busy, watching again in 2 s: %s", type(error).__name__)

    def _take_over_dead_executors(self) -> None:
        pending = DBOS.list_workflows(status="PENDING", load_input=False, load_output=False)
        for executor in {w.executor_id for w in pending if w.executor_id} - {self._executor}:
            if (handle := self._try_lock(executor)) is None:
                continue
            with handle:
                log.warning("executor %s died: its work is taken over", executor)
                DBOS._recover_pending_workflows([executor])
                (self._locks_dir / executor).unlink(missing_ok=True)

    def _resume_lost_work(self) -> None:
        """Our own workflows that were taken from the queue but never began, for 30 s: hand them back to the queue."""
        pending = DBOS.list_workflows(status="PENDING", executor_id=self._executor, load_input=False, load_output=False)
        lost = {w.workflow_id: w for w in pending if w.workflow_id not in self._running}
        now = time.monotonic()
        self._suspects = {i: self._suspects.get(i, now) for i in lost}
        for workflow_id, since in self._suspects.items():
            if now - since > _LOST_AFTER_S:
                DBOS.resume_workflow(workflow_id, queue_name=lost[workflow_id].queue_name)

    def _abandon_poison_work(self) -> None:
        """A dead delivery is only forgotten: as long as its job is not settled, `ensure_delivery` queues a new one."""
        for dead in DBOS.list_workflows(status=_DEAD, load_input=False, load_output=False):
            kind, job_id = dead.workflow_id.split(":")[:2]
            log.error("the processes running workflow %s died repeatedly", dead.workflow_id)
            if kind == "study":
                self._work.abandon(job_id)
            DBOS.delete_workflow(dead.workflow_id)


def _next_attempt(prefix: str) -> int | None:
    """The number of the next attempt; None while one waits, runs, or died and is about to be abandoned."""
    known = DBOS.list_workflows(workflow_id_prefix=prefix, load_input=False, load_output=False)
    if any(workflow.status in _AT_IT for workflow in known):
        return None
    return max((int(workflow.workflow_id.rsplit(":", 1)[1]) for workflow in known), default=0) + 1


def _settle(step: Callable[[], _Answer], settled: _Answer) -> _Answer | float:
    """The step's answer. Database or disk away: seconds until the next attempt. Job gone or ended: `settled`."""
    try:
        return step()
    except (sa.exc.SQLAlchemyError, OSError) as error:
        log.warning("a step could not be recorded, it is tried again: %s", type(error).__name__)
        return _STEP_RETRY_S
    except (LookupError, IllegalTransition) as error:
        log.warning("nothing left to do: %s", error)
        return settled


def _queue(destination: str) -> str:
    return f"destination:{destination}"
