"""Creates the jobs of complete studies, and makes sure that the engine works on every job that is not done.

All state is in the database; this only ticks. The jobs table is the truth: what the engine lost, or what an operator
reopened, is queued again.
"""

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from service.domain.completion import SenderRules, Silence, StudyState, due
from service.log_once import LogOnce
from service.periodic_task import PeriodicTask
from service.store.engine import in_words
from service.store.study_tables import StudyTables

log = logging.getLogger(__name__)

_TICK_S = 0.5
_TICKS_BETWEEN_CHECKS = 20
_JUMP_S = 5.0
_UNREAD_S = 300.0
"""For so long the jobs of a study wait for images that rules look at: the storage may be away."""


class Engine(Protocol):
    """What the sweeper asks of the durable engine. Asking twice is asking once."""

    def ensure_study(self, job_id: str, priority: int, at_once: bool = False) -> None: ...

    def ensure_delivery(self, job_id: str, destination: str, priority: int, at_once: bool) -> None: ...

    def ensure_shadow(self, job_id: str) -> None: ...


class Sweeper(PeriodicTask):
    """One thread per worker process; several workers may sweep the same database.

    rules: for senders. receiving: whether a receiver process runs.
    """

    def __init__(
        self,
        tables: StudyTables,
        engine: Engine,
        rules: SenderRules,
        receiving: Callable[[], bool],
        clock: Callable[[], datetime],
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__("sweeper", _TICK_S)
        self._tables = tables
        self._engine = engine
        self._rules = rules
        self._receiving = receiving
        self._clock = clock
        self._monotonic_s = monotonic_s
        self._silence = Silence()
        self._wall = clock(), monotonic_s()
        self._at_once = True  # the clock may have been set back while nobody looked
        self._trouble = LogOnce(
            log,
            f"studies are not looked at: %s; it is tried again every {_TICK_S} s",
            "the database works again: studies are looked at",
        )
        self._deaf = LogOnce(
            log, "%s: no study is completed meanwhile", "a receiver runs again: quiet periods begin anew"
        )
        self._unread_since_s: dict[str, float] = {}
        self._looks = 1  # the first tick checks

    def tick(self) -> None:
        """Make jobs of complete studies, then queue what the engine may not know yet."""
        now = self._clock()
        if self._jumped_s(now) < -_JUMP_S:
            self._at_once = True  # delays end at times by the wall clock, which are far away now
        if self._at_once:
            self.check()
        for study in self._complete(now):
            self._create_jobs(study, now)
        for job_id, priority in self._tables.jobs.to_enqueue():
            self._engine.ensure_study(job_id, priority)
            self._tables.jobs.mark_queued(job_id)

    def _create_jobs(self, study: StudyState, now: datetime) -> None:
        """Create the jobs of a complete study; later, if its images cannot be read now."""
        try:
            pipelines = self._rules.pipelines(study.study_uid)
        except OSError as error:
            since_s = self._unread_since_s.setdefault(study.study_uid, self._monotonic_s())
            if self._monotonic_s() - since_s < _UNREAD_S:
                return
            log.error(
                "the images of a complete study cannot be read for %.0f s (%s): every pipeline gets a job",
                _UNREAD_S,
                type(error).__name__,
            )
            pipelines = self._rules.every
        self._unread_since_s.pop(study.study_uid, None)
        urgency = self._rules.urgency(study.calling_ae)
        for job_id in self._tables.records.create_jobs(study, pipelines, urgency, now):
            log.info("study complete, job %s created", job_id)

    def check(self) -> None:
        """Queue whatever is not done and the engine is not at.

        The first time, and after the clock was set back, what waits for its next attempt waits no longer.
        """
        for job_id, priority in self._tables.jobs.to_analyse():
            self._engine.ensure_study(job_id, priority, self._at_once)
        for one in self._tables.deliveries.to_deliver():
            self._engine.ensure_delivery(one.job_id, one.destination, one.priority, one.at_once or self._at_once)
        for job_id in self._tables.shadows.to_run():
            self._engine.ensure_shadow(job_id)
        self._at_once = False

    def _complete(self, now: datetime) -> Iterator[StudyState]:
        """Yields the studies for which nothing came for the quiet period of their senders."""
        studies = self._tables.records.open_studies()
        quiet_for_s = self._quiet_for_s(studies, now)
        for study in studies:
            if due(study, quiet_for_s[study.study_uid], self._rules.quiet_s(study.calling_ae)):
                yield study

    def _quiet_for_s(self, studies: Sequence[StudyState], now: datetime) -> dict[str, float]:
        """Seconds by Study Instance UID. While no receiver runs, a sender in the middle of a study cannot go on."""
        changed = any(study.revision > study.job_revision for study in studies)
        deaf = changed and not self._receiving()
        self._deaf.tell("no receiver is running" if deaf else "")
        if deaf:
            self._silence.begin_anew()
        return self._silence.look(studies, now, self._monotonic_s())

    def _jumped_s(self, now: datetime) -> float:
        """By how much the wall clock was set since the last tick, in seconds; negative: back."""
        (then, since_s), self._wall = self._wall, (now, self._monotonic_s())
        jump_s = (now - then).total_seconds() - (self._wall[1] - since_s)
        if abs(jump_s) > _JUMP_S:
            log.warning("the clock was set %s by %.0f s", "forward" if jump_s > 0 else "back", abs(jump_s))
        return jump_s

    def _look(self) -> None:
        try:
            self.tick()
            if self._looks % _TICKS_BETWEEN_CHECKS == 0:
                self.check()
            self._trouble.tell("")
        except SQLAlchemyError as error:
            self._trouble.tell(in_words(error))
        self._looks += 1
