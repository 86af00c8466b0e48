"""The engine of one worker process: it starts the queues, and queues the work of jobs where no workflow is at it."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from dbos import DBOS, WorkflowStatus

from service.domain.work import Work
from service.store.durable_engine.dbos_internals import IN_HAND, WAITING, WorkflowRows
from service.store.durable_engine.watcher import EXECUTORS, Watcher
from service.store.durable_engine.workflows import (
    STUDIES,
    Workflows,
    delivery_prefix,
    end_delay,
    known,
    next_attempt,
    queue_of,
    shadow_prefix,
    study_prefix,
)
from service.store.engine import database_engine
from service.store.liveness import Locks

log = logging.getLogger(__name__)

# A new version strands pending work of the old one; change it only together with a migration of open workflows.
_WORKFLOW_VERSION = "flow-1"
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """How many deliveries to one destination may run at once, over all hosts, and how many may start per minute."""

    concurrency: int = 1
    per_minute: int | None = None


class DurableEngine:
    """The engine of one worker process. Only one per process may be started."""

    def __init__(
        self, database: str | Path, locks: Locks, destinations: Mapping[str, QueueOptions], work: Work
    ) -> None:
        self._engine = database_engine(database)
        self._locks = locks
        self._destinations = dict(destinations)
        self._executor = ""
        self._rows = WorkflowRows(self._engine)
        self._workflows = Workflows(work, self._rows, self._destinations)
        self._watcher = Watcher(locks, work, self._workflows.running)

    def start(self) -> None:
        """Create or migrate the engine's tables, take our lock, start the queues and the watcher."""
        self._executor = self._locks.join(EXECUTORS)
        self._launch()
        DBOS.register_queue(STUDIES, worker_concurrency=1, polling_interval_sec=_POLL_S)
        for name, options in self._destinations.items():
            limit = options.per_minute
            DBOS.register_queue(
                queue_of(name),
                global_concurrency=options.concurrency,
                limiter=None if limit is None else {"limit": limit, "period": 60.0},
                polling_interval_sec=_POLL_S,
            )
        self._watcher.watch_as(self._executor)

    def stop(self, wait_s: int = 30) -> bool:
        """Stop taking work and let running steps end for up to `wait_s`. True if nothing is left running here.

        If something is, our lock is freed when the process ends, not before: until then the work is still ours.
        """
        self._watcher.stop()
        DBOS.destroy(workflow_completion_timeout_sec=wait_s)
        idle = not self._workflows.running
        if idle:
            self._locks.leave(EXECUTORS, self._executor)
        return idle

    @property
    def alive(self) -> bool:
        """Returns whether the watcher watches and our work is still ours. If not, the process must end at once."""
        return self._watcher.alive and self._locks.held

    def ensure_study(self, job_id: str, priority: int = 0, at_once: bool = False) -> None:
        """Queue the analysis of a job unless a workflow waits for it or is at it.

        priority: 0 to 2**31 - 1, the lowest goes first. All attempts and deliveries that follow keep it.
        at_once: one that is delayed waits no longer.
        """
        prefix = study_prefix(job_id)
        if (attempt := next_attempt(prefix)) is not None:
            self._workflows.enqueue_study(job_id, attempt, None, priority)
        elif at_once:
            end_delay(prefix)

    def ensure_delivery(self, job_id: str, destination: str, priority: int = 0, at_once: bool = False) -> None:
        """Queue a delivery unless a workflow waits for it or is at it. priority, at_once: as for `ensure_study`."""
        prefix = delivery_prefix(job_id, destination)
        if (attempt := next_attempt(prefix)) is not None:
            self._workflows.enqueue_delivery(job_id, destination, attempt, None, priority)
        elif at_once:
            end_delay(prefix)

    def ensure_shadow(self, job_id: str) -> None:
        """Queue the candidates' analyses of a job, behind all studies, unless a workflow waits for them or is at it."""
        if (attempt := next_attempt(shadow_prefix(job_id))) is not None:
            self._workflows.enqueue_shadow(job_id, attempt, None)

    def retry_studies(self) -> None:
        """Let analyses that wait for their next attempt start now."""
        try:
            end_delay("study:")
        except sa.exc.SQLAlchemyError as error:
            log.warning("analyses that wait are tried when it is their time: %s", type(error).__name__)

    def prioritise(self, job_id: str, priority: int) -> None:
        """Give all that waits for a job another priority; what is running hands it on to what follows."""
        self._rows.prioritise((study_prefix(job_id), delivery_prefix(job_id)), priority)

    def discard(self, job_id: str) -> bool:
        """Delete the workflows of a job; False, and none is deleted, while one of them waits or runs.

        One in the shadow may wait for ever, where studies always come: it is deleted too, unless it runs.
        """
        own = known(study_prefix(job_id), delivery_prefix(job_id))
        in_shadow = known(shadow_prefix(job_id))
        if any(one.status in IN_HAND for one in own) or not self._held_back(in_shadow):
            return False
        DBOS.delete_workflows([workflow.workflow_id for workflow in own + in_shadow])
        return True

    def _held_back(self, workflows: Sequence[WorkflowStatus]) -> bool:
        """Returns whether none of these runs; those that wait begin no more."""
        waiting = [one.workflow_id for one in workflows if one.status in WAITING]
        stopped = self._rows.cancel_waiting(waiting)
        return stopped == len(waiting) == sum(one.status in IN_HAND for one in workflows)

    def _launch(self) -> None:
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
