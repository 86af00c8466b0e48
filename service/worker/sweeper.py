"""Finds complete studies, and sees to it that the engine is at every job that is not done.

All state is in the database; this only ticks. The jobs table is the truth: what the engine lost, or what an operator
reopened, is queued again.
"""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from sqlalchemy.exc import OperationalError

from service.domain.priority import Urgency
from service.store.deliveries import Deliveries
from service.store.jobs import Jobs
from service.store.records import Records

log = logging.getLogger(__name__)

_TICK_S = 0.5
_TICKS_BETWEEN_CHECKS = 20


class Engine(Protocol):
    """What the sweeper asks of the durable engine. Asking twice is asking once."""

    def ensure_study(self, job_id: str, priority: int) -> None: ...

    def ensure_delivery(self, job_id: str, destination: str, priority: int, at_once: bool) -> None: ...


class Sweeper:
    """One thread per worker process; several workers may sweep the same database."""

    def __init__(
        self,
        records: Records,
        jobs: Jobs,
        deliveries: Deliveries,
        engine: Engine,
        quiet_s_for: Callable[[str], float],
        urgency_of: Callable[[str], Urgency],
        clock: Callable[[], datetime],
    ) -> None:
        self._records = records
        self._jobs = jobs
        self._deliveries = deliveries
        self._engine = engine
        self._quiet_s_for = quiet_s_for
        self._urgency_of = urgency_of
        self._clock = clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Does the thread still sweep?"""
        return self._thread.is_alive()

    def tick(self) -> None:
        """Make jobs of complete studies, then queue what the engine may not know yet."""
        for job_id in self._records.create_due_jobs(self._clock(), self._quiet_s_for, self._urgency_of):
            log.info("study complete, job %s created", job_id)
        for job_id, priority in self._jobs.to_enqueue():
            self._engine.ensure_study(job_id, priority)
            self._jobs.mark_queued(job_id)

    def check(self) -> None:
        """Queue whatever is not done and the engine is not at."""
        for job_id, priority in self._jobs.to_analyse():
            self._engine.ensure_study(job_id, priority)
        for due in self._deliveries.to_deliver():
            self._engine.ensure_delivery(due.job_id, due.destination, due.priority, due.at_once)

    def _run(self) -> None:
        ticks = 0
        while not self._stop.wait(_TICK_S):
            try:
                self.tick()
                if ticks % _TICKS_BETWEEN_CHECKS == 0:
                    self.check()
            except OperationalError as error:
                log.warning("database is busy, sweeping again in %s s: %s", _TICK_S, type(error.orig).__name__)
            ticks += 1
