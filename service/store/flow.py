"""The durable engine: DBOS Transact. Nothing else in the package knows it.

Three workflows, each a row in the engine's database before anything runs:

    study(job_id, attempt)                 analyse once; then one delivery per destination is queued
    delivery(job_id, destination, attempt) ONE attempt; waiting for the next one is a DELAYED row, never a sleep
    shadow(job_id, attempt)                candidates analyse what has been analysed, when no study waits

Steps run at least once: after a kill the step that was running runs again, so steps are idempotent. Steps return
values and never raise (an exception may not survive pickling). Workflow ids are deterministic: queueing twice is one.
The jobs table says what is to be done; `ensure_study` and `ensure_delivery` queue it where no workflow is at it.

Liveness: every worker process holds a lock named as its executor id (`liveness`), freed the moment the process dies.
A watcher thread in each worker takes over the pending work of executors whose lock is free.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, WorkflowStatus

from service.domain.job import IllegalTransition, NoSuchJob
from service.errors import traceback_of
from service.store.engine import database_engine
from service.store.liveness import Locks

log = logging.getLogger(__name__)

# A new version strands pending work of the old one; change it only together with a migration of open workflows.
_WORKFLOW_VERSION = "flow-1"
_MAX_RECOVERIES = 5
_MAX_SHADOW_RECOVERIES = 1  # a candidate that takes the process with it must not do so often
_LAST = 2**31 - 1
_LOST_AFTER_S = 30.0
_STUDIES = "studies"
_DEAD = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
_AT_IT = ("ENQUEUED", "DELAYED", "PENDING", _DEAD)
_WAITING = ("ENQUEUED", "DELAYED")
_EXECUTORS = "executors"
_STEP_RETRY_S = 30.0
_POLL_S = 0.2

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How many deliveries to one destination may run at once, over all hosts, and how many may start per minute."""

    concurrency: int = 1
    per_minute: int | None = None


class Work(Protocol):
    """What the engine drives. Every method is idempotent and raises only what keeps it from reaching the database."""

    def analyse(self, job_id: str, attempt: int) -> Sequence[str] | float:
        """Analyse one job: the destinations to deliver to, or the seconds until the next attempt."""
        ...

    def deliver(self, job_id: str, destination: str, attempt: int) -> float | None:
        """One delivery attempt: None when settled, or the seconds until the next attempt."""
        ...

    def shadow(self, job_id: str, attempt: int) -> float | None:
        """Candidates analyse one job: None when done, or the seconds until the next attempt."""
        ...

    def abandon(self, job_id: str) -> None:
        """The job's processes died again and again: mark it failed."""
        ...

    def abandon_shadow(self, job_id: str) -> None:
        """The processes of its candidates died again and again: mark them failed."""
        ...


class Flow:
    """The engine of one worker process. Only one per process may be started."""

    def __init__(
        self, database: str | Path, locks: Locks, destinations: Mapping[str, QueueOptions], work: Work
    ) -> None:
        self._engine = database_engine(database)
        self._locks = locks
        self._destinations = dict(destinations)
        self._work = work
        self._executor = ""
        self._running: set[str | None] = set()
        self._suspects: dict[str, float] = {}
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="flow-watcher", daemon=True)
        self._study, self._delivery = self._register(work)
        self._shadow = self._register_shadow(work)

    def start(self) -> None:
        """Create or migrate the engine's tables, take our lock, start the queues and the watcher."""
        self._executor = self._locks.join(_EXECUTORS)
        url = self._engine.url.render_as_string(hide_password=False)
        DBOS.migrate(url)
        DBOS(
            config={
                "name": "thoracle",
                "system_database_url": url,
                "system_database_engine": self._engine,
                "run_migrations": False,
                "executor_id": self._executor,
                "application_version": _WORKFLOW_VERSION,
                "log_level": "WARNING",
            }
        )
        DBOS.launch()
        DBOS.register_queue(_STUDIES, worker_concurrency=1, polling_interval_sec=_POLL_S)
        for name, options in self._destinations.items():
            limit = options.per_minute
            DBOS.register_queue(
                _queue(name),
                global_concurrency=options.concurrency,
                limiter=None if limit is None else {"limit": limit, "period": 60.0},
                polling_interval_sec=_POLL_S,
            )
        self._watcher.start()

    def stop(self, wait_s: int = 30) -> bool:
        """Stop taking work and let running steps end for up to `wait_s`. True if nothing is left running here.

        If something is, our lock is freed when the process ends, not before: until then the work is still ours.
        """
        self._stop.set()
        self._watcher.join()
        DBOS.destroy(workflow_completion_timeout_sec=wait_s)
        if not self._running:
            self._locks.leave(_EXECUTORS, self._executor)
        return not self._running

    def ensure_study(self, job_id: str, priority: int = 0, at_once: bool = False) -> None:
        """Queue the analysis of a job unless a workflow waits for it or is at it.

        priority: 0 to 2**31 - 1, the lowest goes first. All attempts and deliveries that follow keep it.
        at_once: one that is delayed waits no longer.
        """
        prefix = f"study:{job_id}:"
        if (attempt := _next_attempt(prefix)) is not None:
            self._enqueue_study(job_id, attempt, None, priority)
        elif at_once:
            _end_delay(prefix)

    def retry_studies(self) -> None:
        """Analyses that wait for their next attempt wait no longer."""
        try:
            _end_delay("study:")
        except sa.exc.SQLAlchemyError as error:
            log.warning("analyses that wait are tried when it is their time: %s", type(error).__name__)

    def ensure_delivery(self, job_id: str, destination: str, priority: int = 0, at_once: bool = False) -> None:
        """Queue a delivery unless a workflow waits for it or is at it. priority, at_once: as of `ensure_study`."""
        prefix = f"delivery:{job_id}:{destination}:"
        if (attempt := _next_attempt(prefix)) is not None:
            self._enqueue_delivery(job_id, destination, attempt, None, priority)
        elif at_once:
            _end_delay(prefix)

    def ensure_shadow(self, job_id: str) -> None:
        """Queue the candidates' analyses of a job, behind all studies, unless a workflow waits for them or is at it."""
        if (attempt := _next_attempt(f"shadow:{job_id}:")) is not None:
            self._enqueue_shadow(job_id, attempt, None)

    def prioritise(self, job_id: str, priority: int) -> None:
        """Give all that waits for a job another priority; what is running hands it on to what follows."""
        table = self._workflows
        of_job = sa.or_(*(table.c.workflow_uuid.startswith(prefix) for prefix in _prefixes(job_id)))
        unfinished = table.c.status.in_((*_WAITING, "PENDING"))
        with self._engine.begin() as connection:
            connection.execute(sa.update(table).where(of_job, unfinished).values(priority=priority))

    def discard(self, job_id: str) -> bool:
        """Delete the workflows of a job; False, and none is deleted, while one of them waits or runs.

        One in the shadow may wait for ever, where studies always come: it is deleted too, unless it runs.
        """
        known = _known(*_prefixes(job_id))
        in_shadow = _known(f"shadow:{job_id}:")
        if any(one.status in _AT_IT for one in known) or not self._held_back(in_shadow):
            return False
        DBOS.delete_workflows([workflow.workflow_id for workflow in known + in_shadow])
        return True

    @property
    def alive(self) -> bool:
        """Does the watcher still watch, and is our work still ours? If not, the process must end at once."""
        return self._watcher.is_alive() and self._locks.held

    def _held_back(self, workflows: Sequence[WorkflowStatus]) -> bool:
        """Whether none of these runs; those that wait begin no more."""
        table = self._workflows
        waiting = [one.workflow_id for one in workflows if one.status in _WAITING]
        still = table.c.workflow_uuid.in_(waiting) & table.c.status.in_(_WAITING)
        with self._engine.begin() as connection:
            stopped = connection.execute(sa.update(table).where(still).values(status="CANCELLED")).rowcount
        return stopped == len(waiting) == sum(one.status in _AT_IT for one in workflows)

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        """Notes that this process really runs the current workflow."""
        workflow_id = DBOS.workflow_id
        self._running.add(workflow_id)
        try:
            yield
        finally:
            self._running.discard(workflow_id)

    def _enqueue_study(self, job_id: str, attempt: int, delay_s: float | None, priority: int) -> None:
        self._enqueue(_STUDIES, self._study, f"study:{job_id}:{attempt}", delay_s, priority, job_id, attempt)

    def _enqueue_shadow(self, job_id: str, attempt: int, delay_s: float | None) -> None:
        self._enqueue(_STUDIES, self._shadow, f"shadow:{job_id}:{attempt}", delay_s, _LAST, job_id, attempt)

    def _register(self, work: Work) -> tuple[Any, Any]:
        """Two workflows; the engine takes plain functions only, so they close over this object."""

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
                    self._enqueue_study(job_id, attempt + 1, float(result), self._own_priority())
                    return
                for destination in result:
                    self._enqueue_delivery(job_id, destination, 1, None, self._own_priority())

        @DBOS.workflow(name="delivery", max_recovery_attempts=_MAX_RECOVERIES)
        def delivery(job_id: str, destination: str, attempt: int) -> None:
            with self._at_work():
                wait_s = deliver(job_id, destination, attempt)
                if wait_s is not None:
                    self._enqueue_delivery(job_id, destination, attempt + 1, wait_s, self._own_priority())

        return study, delivery

    def _register_shadow(self, work: Work) -> Any:
        @DBOS.step(name="shadow")
        def analyse_in_shadow(job_id: str, attempt: int) -> float | None:
            return _settle(lambda: work.shadow(job_id, attempt), None)

        @DBOS.workflow(name="shadow", max_recovery_attempts=_MAX_SHADOW_RECOVERIES)
        def shadow(job_id: str, attempt: int) -> None:
            with self._at_work():
                wait_s = analyse_in_shadow(job_id, attempt)
                if wait_s is not None:
                    self._enqueue_shadow(job_id, attempt + 1, wait_s)

        return shadow

    def _own_priority(self) -> int:
        """Of the running workflow; read from its row, because `prioritise` may have changed it since it began."""
        table = self._workflows
        with self._engine.begin() as connection:
            own = sa.select(table.c.priority).where(table.c.workflow_uuid == DBOS.workflow_id)
            return int(connection.execute(own).scalar_one())

    @property
    def _workflows(self) -> sa.TableClause:
        """The engine's table; reading and writing it ourselves is kept to what it has no function for."""
        columns = (sa.column("workflow_uuid", sa.Text), sa.column("status", sa.Text), sa.column("priority", sa.Integer))
        return sa.table("workflow_status", *columns, schema="dbos" if self._engine.dialect.name != "sqlite" else None)

    def _enqueue_delivery(
        self, job_id: str, destination: str, attempt: int, delay_s: float | None, priority: int
    ) -> None:
        workflow_id = f"delivery:{job_id}:{destination}:{attempt}"
        # A destination that was taken out of the configuration has no queue; its deliveries are only to be settled.
        queue = _queue(destination) if destination in self._destinations else _STUDIES
        self._enqueue(queue, self._delivery, workflow_id, delay_s, priority, job_id, destination, attempt)

    @staticmethod
    def _enqueue(
        queue: str, workflow: Any, workflow_id: str, delay_s: float | None, priority: int, *args: object
    ) -> None:
        # The engine wants no priority said where it is 0.
        with SetWorkflowID(workflow_id), SetEnqueueOptions(delay_seconds=delay_s, priority=priority or None):
            DBOS.enqueue_workflow(queue, workflow, *args)

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
            with self._locks.inherit(_EXECUTORS, executor) as dead:
                if dead:
                    log.warning("executor %s died: its work is taken over", executor)
                    DBOS._recover_pending_workflows([executor])

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
            elif kind == "shadow":
                self._work.abandon_shadow(job_id)
            DBOS.delete_workflow(dead.workflow_id)


def _known(*prefixes: str) -> list[WorkflowStatus]:
    """Workflows, waiting, running and ended, whose ids begin so."""
    return [
        workflow
        for prefix in prefixes
        for workflow in DBOS.list_workflows(workflow_id_prefix=prefix, load_input=False, load_output=False)
    ]


def _next_attempt(prefix: str) -> int | None:
    """The number of the next attempt; None while one waits, runs, or died and is about to be abandoned."""
    known = _known(prefix)
    if any(workflow.status in _AT_IT for workflow in known):
        return None
    return max((int(workflow.workflow_id.rsplit(":", 1)[1]) for workflow in known), default=0) + 1


def _end_delay(prefix: str) -> None:
    for workflow in DBOS.list_workflows(
        workflow_id_prefix=prefix, status="DELAYED", load_input=False, load_output=False
    ):
        DBOS.set_workflow_delay(workflow.workflow_id, delay_seconds=0)


def _settle(step: Callable[[], _Answer], settled: _Answer) -> _Answer | float:
    """The step's answer, or seconds until the next attempt if it fails. Job gone or ended: `settled`."""
    try:
        return step()
    except (sa.exc.SQLAlchemyError, OSError) as error:
        log.warning("a step could not be recorded, it is tried again: %s", type(error).__name__)
        return _STEP_RETRY_S
    except (NoSuchJob, IllegalTransition) as error:
        log.warning("nothing left to do: %s", error)
        return settled
    except Exception as error:  # a step never raises; the message may quote a patient's attributes
        log.error("a step failed: %s\n%s", type(error).__name__, traceback_of(error))
        return _STEP_RETRY_S


def _prefixes(job_id: str) -> tuple[str, str]:
    """How the ids of a job's workflows begin, but for those of its shadow analyses."""
    return f"study:{job_id}:", f"delivery:{job_id}:"


def _queue(destination: str) -> str:
    return f"destination:{destination}"
