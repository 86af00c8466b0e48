"""Ends an analysis over its time or memory limit, or whose job was cancelled or superseded; then the next begins.

First it is asked: its next report of progress, and its next question to the back end, raise. What does not hear, as an
endless loop or a lock that is never freed, ends with its process: the outcome is recorded, so that the job is not
analysed again, and the supervisor (or the kubelet) starts a new worker. Code that never gives the interpreter's lock
back keeps this thread from looking: then `faulthandler` ends the process, from a thread that needs no lock, and leaves
a file by which the next worker knows.
"""

import faulthandler
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from traceback import format_stack

from sqlalchemy.exc import SQLAlchemyError

from service.analysis.memory import machine_bytes, rss_bytes
from service.analysis.watched_run import OverMemory, OverTime, Run, Stopped, Unwanted
from service.domain.job import NoSuchJob
from service.domain.job_state import IllegalTransition
from service.domain.ports import Backend
from service.periodic_task import PeriodicTask

log = logging.getLogger(__name__)

_LOOK_S = 0.25
_LOOKS_BETWEEN_QUESTIONS = 4
_DEAF_S = 30.0
"""How long after its end was due a process that cannot look is ended by `faulthandler`."""

_PART_OF_MEMORY = 0.9


@dataclass(frozen=True, slots=True)
class JobLimits:
    """Limits of one analysis. memory_bytes: beyond what the worker had before; None: most of what the machine has."""

    time_s: float = 1800.0
    memory_bytes: float | None = None


class Watchdog(PeriodicTask):
    """One thread per worker process; the analyses are in other threads.

    ours: whether the work of this process is still its own. count: is told the cause of every end. end_process: never
    returns.
    """

    def __init__(
        self,
        limits: JobLimits,
        folder: Path,
        ours: Callable[[], bool],
        count: Callable[[str], None],
        end_process: Callable[[], None],
    ) -> None:
        """folder: for the file that a process leaves which could not look."""
        super().__init__("watchdog", _LOOK_S)
        self._limits = limits
        self._folder = folder
        self._ours = ours
        self._count = count
        self._end_process = end_process
        self._runs: dict[Run, tuple[float, float]] = {}
        self._changing = threading.Lock()
        self._looks = 0

    @contextmanager
    def over(
        self,
        job_id: str,
        backend: Backend,
        wanted: Callable[[], bool],
        record: Callable[[str], None] | None,
        began_at: datetime | None = None,
    ) -> Iterator[Run]:
        """Watch the block, which analyses with `run.backend` and reports to `run.progress`; Stopped if it is ended.

        wanted: whether anybody still wants the job. record: notes durably why a job failed, before the process ends;
        None where it is to be analysed again, in another way. began_at: when the analysis first began; what a process
        left before is of another one.
        """
        self._end_if_swollen()
        marker = self._folder / f"stuck-{job_id}{'' if record else '-on-trial'}"
        self._raise_if_stuck(marker, began_at)
        run = Run(job_id, backend, wanted, record, marker)
        with self._changing:
            self._runs[run] = time.monotonic(), self._most_bytes()
        try:
            with self._even_without_looking(marker):
                yield run
        finally:
            with self._changing:
                self._runs.pop(run, None)
            if run.why is not None:  # whatever else the analysis raised came of its being ended
                self._count(run.why.cause)
                run.check()

    def _look(self) -> None:
        with self._changing:
            runs = dict(self._runs)
        self._looks += 1
        for run, (since_s, most_bytes) in runs.items():
            if run.why is None:
                run.why = self._why(run, time.monotonic() - since_s, most_bytes)
                if run.why is not None:
                    self._ask_to_stop(run, run.why)
            elif time.monotonic() - run.stopped_at > run.why.grace_s and run in self._runs:
                self._end(run, run.why)

    def _why(self, run: Run, for_s: float, most_bytes: float) -> Stopped | None:
        if for_s > self._limits.time_s:
            return OverTime(f"the analysis ran longer than {self._limits.time_s:g} s")
        if rss_bytes() > most_bytes:
            return OverMemory(f"the analysis took the worker's memory beyond {most_bytes / 1e9:.1f} GB")
        if self._looks % _LOOKS_BETWEEN_QUESTIONS == 0 and not self._wanted(run):
            return Unwanted("the job was cancelled or superseded")
        return None

    @staticmethod
    def _wanted(run: Run) -> bool:
        try:
            return run.wanted()
        except SQLAlchemyError:
            return True  # nobody knows
        except NoSuchJob:
            return False

    @staticmethod
    def _ask_to_stop(run: Run, why: Stopped) -> None:
        run.stopped_at = time.monotonic()
        log.warning("job %s is ended: %s", run.job_id, why)
        run.backend.cancel()

    def _end(self, run: Run, why: Stopped) -> None:
        """End the process: nothing else ends the thread."""
        frames = sys._current_frames()
        helpers = [thread.ident for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
        at = [frames[ident] for ident in dict.fromkeys((run.thread, *helpers)) if ident in frames]
        where = "\n".join("".join(format_stack(frame)) for frame in at)
        log.error("job %s does not end, so this process does; its threads are at\n%s", run.job_id, where)
        if run.record is not None and not isinstance(why, Unwanted) and self._ours():
            try:
                run.record(str(why))
            except (IllegalTransition, NoSuchJob):
                pass  # cancelled meanwhile
            except SQLAlchemyError as error:
                log.error("job %s: it cannot be recorded, and is analysed again: %s", run.job_id, type(error).__name__)
        self._count(why.cause)
        run.marker.unlink(missing_ok=True)
        self._end_process()

    def _most_bytes(self) -> float:
        """Memory that the process may have, including what it has before the analysis."""
        if self._limits.memory_bytes is None:
            return _PART_OF_MEMORY * machine_bytes()
        return rss_bytes() + self._limits.memory_bytes

    def _end_if_swollen(self) -> None:
        """End the process if an earlier analysis left it too large for any: a new one takes the job up."""
        if rss_bytes() > self._most_bytes():
            log.error(
                "the worker has more than %.1f GB of memory before the analysis: it ends", self._most_bytes() / 1e9
            )
            self._end_process()

    def _raise_if_stuck(self, marker: Path, began_at: datetime | None) -> None:
        """OverTime if an earlier process ended at this very analysis because it could not look.

        The marker of an earlier analysis of the job may be left: another host ended that one, and knew nothing of it.
        """
        try:
            is_earlier = began_at is not None and marker.stat().st_mtime < began_at.timestamp()
            where = marker.read_text(encoding="utf-8", errors="replace")
            marker.unlink()
        except FileNotFoundError:
            return
        if where and not is_earlier:
            log.error("job %s: an earlier worker did not end, and could not look; it was at\n%s", marker.name, where)
            self._count(OverTime.cause)
            raise OverTime(f"the analysis ran longer than {self._limits.time_s:g} s and blocked its whole process")

    @contextmanager
    def _even_without_looking(self, marker: Path) -> Iterator[None]:
        """Have the process ended also where no thread of Python can run. The marker stays, with the stacks in it."""
        marker.parent.mkdir(parents=True, exist_ok=True)
        with marker.open("w", encoding="utf-8") as file:
            longest_s = self._limits.time_s + max(one.grace_s for one in (OverTime, OverMemory, Unwanted))
            faulthandler.dump_traceback_later(longest_s + _DEAF_S, exit=True, file=file)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()
                marker.unlink(missing_ok=True)
