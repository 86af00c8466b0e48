"""What the durable engine drives (port `store.flow.Work`): analyse one job, deliver it once, give it up.

Every method may run again after a kill, so each looks first at what is already there. Whatever goes wrong with a study
is recorded with its job; only what keeps it from being recorded (the database) is raised, and the engine tries again.
"""

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from traceback import format_tb
from typing import Protocol

from service.domain.job import Delivered, Event, Job, ObjectDelivery, Result, State, StoredObject
from service.domain.ports import Spool
from service.domain.retry import RetryPolicy
from service.errors import Permanent, Transient
from service.network.send import StoreOutcome, Verdict
from service.store.jobs import Jobs
from service.store.records import Records, SeriesRecord
from service.store.tree import SeriesFiles
from service.worker.analyst import Analyst, Outcome

log = logging.getLogger(__name__)

_WAITING = (State.CREATED, State.QUEUED, State.RUNNING)
_ANALYSIS_RETRIES = RetryPolicy((60.0, 300.0), timedelta(hours=24))
"""For a full disk or a back end that is away; neither is the study's fault."""


class JobObserver(Protocol):
    """Who counts what becomes of jobs. Labels are outcomes and destinations, never patient data."""

    def study(self, outcome: str, timings_s: Mapping[str, float]) -> None: ...

    def delivery(self, destination: str, outcome: str) -> None: ...

    def delivered(self, latency_s: float) -> None: ...


Send = Callable[[Sequence[Path]], Sequence[StoreOutcome]]
"""Sends stored files to one destination in one attempt, one outcome per file; never raises a network error."""

ExpectedImages = Callable[[str, Sequence[SeriesRecord]], Mapping[str, int]]
"""How many images the sender holds by Series Instance UID, for a study UID and its series; empty if nobody knows."""


@dataclass(frozen=True, slots=True)
class Destination:
    """One place that gets results."""

    send: Send
    policy: RetryPolicy


class Runner:
    """Runs jobs on one worker process."""

    def __init__(
        self,
        analyst: Analyst,
        spool: Spool,
        records: Records,
        jobs: Jobs,
        destinations: Mapping[str, Destination],
        expected_images: ExpectedImages,
        observer: JobObserver,
        clock: Callable[[], datetime],
    ) -> None:
        self._analyst = analyst
        self._spool = spool
        self._records = records
        self._jobs = jobs
        self._destinations = destinations
        self._expected_images = expected_images
        self._observer = observer
        self._clock = clock

    def analyse(self, job_id: str, attempt: int) -> Sequence[str] | float:
        """Destinations to deliver to, or seconds until the next attempt."""
        job = self._jobs.get(job_id)
        if job.state not in _WAITING:
            return self._plan_deliveries(job)
        job = self._jobs.start(job_id, self._clock())
        try:
            with self._study(job) as study:
                outcome = self._analyst.analyse(*study)
            event, result = self._save(job_id, outcome)
        except (Transient, OSError) as error:
            log.warning("job %s: attempt %d failed: %s", job_id, attempt, error)
            wait_s = _ANALYSIS_RETRIES.wait_s(attempt, self._clock() - job.created_at)
            if wait_s is not None:
                self._jobs.retry(job_id, str(error))
                return wait_s
            event, result = Event.FAIL, Result(error=str(error))
        except Permanent as error:
            log.error("job %s failed: %s", job_id, error)
            event, result = Event.FAIL, Result(error=str(error))
        except Exception as error:  # the worker step: one bad study must not stop the others
            # Where it happened, but not the message: it may quote a patient's attributes.
            log.error("job %s failed: %s\n%s", job_id, type(error).__name__, "".join(format_tb(error.__traceback__)))
            event, result = Event.FAIL, Result(error=f"internal error {type(error).__name__}; the log tells where")
        done = self._jobs.finish(job_id, event, result, self._clock())
        log.info("job %s: %s", job_id, done.state)
        self._observer.study(done.state, result.timings_s)
        return self._plan_deliveries(done)

    def deliver(self, job_id: str, destination: str, attempt: int) -> float | None:
        """Send what the destination does not have yet; seconds until the next attempt, None when settled."""
        job = self._jobs.get(job_id)
        if job.state is not State.DELIVERING:
            return None
        objects = self._jobs.undelivered(job_id, destination)
        target = self._destinations.get(destination, _NOT_CONFIGURED)
        sent = self._send(target, objects)
        now = self._clock()
        wait_s = target.policy.wait_s(attempt, now - job.created_at)
        outcomes = [_delivery(*pair, give_up=wait_s is None) for pair in zip(objects, sent, strict=True)]
        pending = any(o.state is Delivered.PENDING for o in outcomes)
        next_at = now + timedelta(seconds=wait_s) if pending and wait_s is not None else None
        self._tell(self._jobs.record_delivery(job_id, destination, outcomes, now, next_at), destination, outcomes, now)
        return wait_s if pending else None

    def abandon(self, job_id: str) -> None:
        """The processes that ran this job died again and again."""
        if self._jobs.get(job_id).state is State.RUNNING:
            error = "the worker process died repeatedly while analysing this study"
            self._jobs.finish(job_id, Event.FAIL, Result(error=error), self._clock())
            self._observer.study(State.FAILED, {})
            log.error("job %s abandoned: %s", job_id, error)

    def _plan_deliveries(self, job: Job) -> Sequence[str]:
        """The destinations of an analysed job, none of any other; the rows of what is to be sent are made first."""
        if job.state is State.ANALYSED and self._destinations:
            job = self._jobs.plan_deliveries(job.job_id, list(self._destinations))
        return list(self._destinations) if job.state is State.DELIVERING else []

    def _send(self, target: Destination, objects: Sequence[StoredObject]) -> Sequence[StoreOutcome]:
        """One outcome per object. Storage that is away is no object's fault."""
        try:
            with self._spool.local([o.path for o in objects]) as paths:
                return target.send(paths)
        except OSError as error:
            message = f"cannot be read ({error})"
            return [StoreOutcome(Path(o.path), "", Verdict.TRANSIENT, None, message) for o in objects]

    @contextmanager
    def _study(self, job: Job) -> Iterator[tuple[list[SeriesFiles], Callable[[str, float], None], Mapping[str, int]]]:
        records = [r for r in self._records.series_of(job.study_uid) if r.paths]
        stages: set[str] = set()

        def progress(stage: str, _fraction: float) -> None:
            if stage not in stages:
                stages.add(stage)
                log.info("job %s: %s", job.job_id, stage)

        with ExitStack() as open_files:
            paths = [tuple(open_files.enter_context(self._spool.local(r.paths))) for r in records]
            files = [SeriesFiles(job.study_uid, r.series_uid, p) for r, p in zip(records, paths, strict=True)]
            yield files, progress, self._expected_images(job.study_uid, records)

    def _save(self, job_id: str, outcome: Outcome) -> tuple[Event, Result]:
        """Result files on disk first, then they may be recorded."""
        files = {e.file_name: e.content for e in outcome.evidence}
        files["result.json"] = json.dumps(outcome.document, indent=2).encode()
        paths = self._spool.save_results(job_id, files)
        objects = [
            StoredObject(e.kind, e.sop_class_uid, e.sop_instance_uid, paths[e.file_name], sha256(e.content).hexdigest())
            for e in outcome.evidence
            if e.sop_class_uid is not None and e.sop_instance_uid is not None
        ]
        analysis = outcome.analysis
        result = Result(
            series_uid=outcome.series_uid,
            refusals=outcome.refusals,
            flags=analysis.flags if analysis else (),
            severity_total=analysis.severity.total if analysis else None,
            timings_s=outcome.timings_s,
            objects=objects,
        )
        return (Event.ANALYSE if analysis else Event.REFUSE), result

    def _tell(self, job: Job, destination: str, outcomes: Sequence[ObjectDelivery], now: datetime) -> None:
        for outcome in outcomes:
            self._observer.delivery(destination, outcome.state)
        for (state, error), count in Counter((o.state, o.error) for o in outcomes).items():
            if state is not Delivered.STORED:
                log.warning("job %s to %s: %d objects %s: %s", job.job_id, destination, count, state, error)
        if job.state is State.DELIVERED:
            log.info("job %s delivered to %s", job.job_id, destination)
            if job.acquired_at is not None:
                self._observer.delivered((now - job.acquired_at).total_seconds())


_STATES = {
    Verdict.STORED: Delivered.STORED,
    Verdict.TRANSIENT: Delivered.PENDING,
    Verdict.PERMANENT: Delivered.FAILED,
}


def _nowhere(paths: Sequence[Path]) -> list[StoreOutcome]:
    message = "the destination is no longer configured"
    return [StoreOutcome(path, "", Verdict.PERMANENT, None, message) for path in paths]


_NOT_CONFIGURED = Destination(_nowhere, RetryPolicy((0.0,), timedelta.max))


def _delivery(stored: StoredObject, sent: StoreOutcome, give_up: bool) -> ObjectDelivery:
    """What one attempt means for one object; when the time for trying is over, pending has failed."""
    state = _STATES[sent.verdict]
    if state is Delivered.PENDING and give_up:
        return ObjectDelivery(stored.sop_instance_uid, Delivered.FAILED, sent.status, f"given up: {sent.message}")
    error = "" if state is Delivered.STORED else sent.message
    return ObjectDelivery(stored.sop_instance_uid, state, sent.status, error)
