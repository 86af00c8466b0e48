"""A thread in each worker process that leaves no workflow stranded, whoever died."""

import logging
import time
from collections.abc import Collection

from dbos import DBOS, WorkflowStatus
from sqlalchemy.exc import SQLAlchemyError

from service.domain.work import Work
from service.periodic_task import PeriodicTask
from service.store.durable_engine.dbos_internals import DEAD, PENDING, take_over
from service.store.durable_engine.workflows import kind_and_job
from service.store.liveness import Locks

log = logging.getLogger(__name__)

EXECUTORS = "executors"
"""The group of locks that live worker processes hold."""

_LOOK_EVERY_S = 2.0
_LOST_AFTER_S = 30.0


class Watcher(PeriodicTask):
    """Takes over the work of dead processes, gives up work that kills processes, and resumes what was lost.

    running: ids of the workflows that really run in this process, kept up to date by `Workflows`.
    """

    def __init__(self, locks: Locks, work: Work, running: Collection[str | None]) -> None:
        super().__init__("engine-watcher", _LOOK_EVERY_S)
        self._locks = locks
        self._work = work
        self._running = running
        self._executor = ""
        self._suspects: dict[str, float] = {}

    def watch_as(self, executor: str) -> None:
        """Begin to watch. executor: the id of this process."""
        self._executor = executor
        self.start()

    def _look(self) -> None:
        try:
            self._take_over_dead_executors()
            self._abandon_poison_work()
            self._resume_lost_work()
        except SQLAlchemyError as error:
            log.warning("engine database is busy, watching again in 2 s: %s", type(error).__name__)

    def _take_over_dead_executors(self) -> None:
        for executor in {w.executor_id for w in _in_status(PENDING) if w.executor_id} - {self._executor}:
            with self._locks.inherit(EXECUTORS, executor) as dead:
                if dead:
                    log.warning("executor %s died: its work is taken over", executor)
                    take_over(executor)

    def _abandon_poison_work(self) -> None:
        """Give up workflows whose processes died too often.

        A dead delivery is only forgotten: as long as its job is not settled, `ensure_delivery` queues a new one.
        """
        for dead in _in_status(DEAD):
            log.error("the processes running workflow %s died repeatedly", dead.workflow_id)
            kind, job_id = kind_and_job(dead.workflow_id)
            if kind == "study":
                self._work.studies.abandon(job_id)
            elif kind == "shadow":
                self._work.shadows.abandon(job_id)
            DBOS.delete_workflow(dead.workflow_id)

    def _resume_lost_work(self) -> None:
        """Hand back to the queue our own workflows that were taken from it and did not begin within 30 s."""
        pending = _in_status(PENDING, self._executor)
        lost = {w.workflow_id: w for w in pending if w.workflow_id not in self._running}
        now = time.monotonic()
        self._suspects = {i: self._suspects.get(i, now) for i in lost}
        for workflow_id, since in self._suspects.items():
            if now - since > _LOST_AFTER_S:
                DBOS.resume_workflow(workflow_id, queue_name=lost[workflow_id].queue_name)


def _in_status(status: str, executor: str | None = None) -> list[WorkflowStatus]:
    return list(DBOS.list_workflows(status=status, executor_id=executor, load_input=False, load_output=False))
