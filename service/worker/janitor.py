"""Removes what has been kept long enough: files of studies that are done, later their rows; old entries of the audit
trail, whose end it signs.

All state is in the database; this only ticks. Any number of workers may do it at once.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO
from itertools import islice
from typing import Protocol

from sqlalchemy.exc import SQLAlchemyError

from service.domain.arrival import patient_id
from service.domain.ports import Spool
from service.errors import Permanent
from service.log_once import LogOnce
from service.periodic_task import PeriodicTask
from service.store.audit import Audit
from service.store.audit_heads import AuditHeads
from service.store.engine import in_words
from service.store.retention import Retention
from service.worker.study_reports import Observers

log = logging.getLogger(__name__)

_ROUND_S = 10.0
_STUDIES_A_ROUND = 20
_PARTS_EVERY_S = 3600.0


class Engine(Protocol):
    """What the janitor asks of the durable engine."""

    def discard(self, job_id: str) -> bool:
        """Forget a job; False while something of it waits or runs."""
        ...


class PurgeObserver(Protocol):
    """Counts what is purged."""

    def purged(self, size_bytes: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Kept:
    """How long things are kept; None: for ever.

    files: after the last thing that happened; history: rows, after the purge; audit: entries, after they were begun.
    """

    files: timedelta | None = None
    history: timedelta | None = None
    audit: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Trail:
    """The audit trail."""

    entries: Audit
    heads: AuditHeads


class Janitor(PeriodicTask):
    """One thread per worker process, beside the work."""

    def __init__(
        self,
        retention: Retention,
        trail: Trail,
        spool: Spool,
        engine: Engine,
        observers: Observers[PurgeObserver],
        kept: Kept,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__("janitor", _ROUND_S)
        self._retention = retention
        self._trail = trail
        self._spool = spool
        self._engine = engine
        self._observer = observers.metrics
        self._reports = observers.reports
        self._kept = kept
        self._clock = clock
        self._cleaned_at = time.monotonic()
        self._stuck = LogOnce(
            log,
            "files of purged studies cannot be removed, the others are: %s; it is tried again",
            "all files of purged studies can be removed again",
        )
        self._unsigned = LogOnce(
            log, "the audit trail is not signed now: %s; it is tried again", "the audit trail is signed again"
        )
        self._trouble = LogOnce(log, "nothing is purged now: %s; it is tried again", "studies are purged again")

    def tick(self) -> None:
        """Finish what a kill has left, then purge and forget a few studies."""
        now = self._clock()
        stuck = self._remove(self._retention.to_remove())
        if self._kept.files is not None:
            given_up = islice(self._give_up(now - self._kept.files, now), _STUDIES_A_ROUND)
            stuck += self._remove(given_up)
        if stuck:
            self._stuck.tell(f"{stuck[0]} ({len(stuck)} studies)", _kind(stuck[0]))
        else:
            self._stuck.tell("")
        if self._kept.history is not None:
            self._forget(now - self._kept.history)
        self._retention.drop_log()  # of forgotten keys; where another process reads meanwhile, in the next round
        if self._kept.audit is not None and self._trail.heads.key is not None:
            self._trail.entries.forget(now - self._kept.audit, self._trail.heads.key)

    def _sign(self) -> None:
        """Whatever becomes of the rest of the round."""
        try:
            self._trail.heads.sign()
            self._unsigned.tell("")
        except SQLAlchemyError as error:
            self._unsigned.tell(in_words(error))
        except (OSError, Permanent) as error:
            self._unsigned.tell(str(error))

    def clean(self) -> None:
        """Remove what killed processes have left half-written."""
        self._spool.remove_parts(_PARTS_EVERY_S, self._clock().timestamp())

    def _give_up(self, before: datetime, now: datetime) -> Iterator[str]:
        for study_uid in self._retention.due(before):
            # Nothing may still be at work: it would read what goes, or write what nobody removes.
            if all(self._engine.discard(job_id) for job_id in self._retention.jobs_of(study_uid)):
                told = self._reports.deletion(study_uid, self._whose(study_uid))
                given_up = self._retention.give_up(study_uid, before, now, told)
                if given_up is not None:
                    log.info("a study was purged: %d files, %d bytes", given_up.images, given_up.size_bytes)
                    self._observer.purged(given_up.size_bytes)
                    yield study_uid

    def _whose(self, study_uid: str) -> str:
        """Patient ID of a study; "" where no file tells."""
        path = self._retention.a_file(study_uid)
        try:
            content = self._spool.read(path) if path else None
        except OSError:
            return ""
        return patient_id(BytesIO(content)) if content else ""

    def _remove(self, study_uids: Iterable[str]) -> list[OSError]:
        """Remove the files of each study; why those of some could not be. The paths in it are hashes."""
        stuck = []
        for study_uid in study_uids:
            began_s = time.monotonic()
            try:
                while not self._stop.is_set() and self._retention.remove(study_uid, self._spool):
                    pass
            except OSError as error:
                stuck.append(error)
                self._stop.wait(time.monotonic() - began_s)  # on SQLite nobody else could write meanwhile
        return stuck

    def _forget(self, purged_before: datetime) -> None:
        for study_uid in self._retention.past(purged_before)[:_STUDIES_A_ROUND]:
            self._retention.forget(study_uid, purged_before)

    def _look(self) -> None:
        self._sign()
        try:
            self.tick()
            if time.monotonic() - self._cleaned_at > _PARTS_EVERY_S:
                self.clean()
                self._cleaned_at = time.monotonic()
            self._trouble.tell("")
        except SQLAlchemyError as error:
            self._trouble.tell(in_words(error))
        except OSError as error:
            self._trouble.tell(str(error), _kind(error))


def _kind(error: OSError) -> str:
    """Of the same kind: a path or how long it took may differ."""
    return f"{type(error).__name__} {error.errno}"
