"""The process that analyses and delivers: sweeper, engine, janitor and the watch of its back end."""

import logging
import os
from collections.abc import Mapping, Sequence
from functools import partial
from socket import gethostname
from typing import NoReturn, Protocol

from service.analysis.open_study import Studies
from service.analysis.watchdog import JobLimits, Watchdog
from service.composition import destinations as to
from service.composition.analysis import analysts, chosen_pipelines, pipeline_rules, pipelines
from service.composition.audit_messages import announced, audit_sender, outbox, us
from service.composition.audit_trail import signing_heads
from service.composition.backends import backend, checked_every_s
from service.composition.priors import comparer
from service.composition.storage import database, database_health, open_storage, shared_locks, watchdog_dir
from service.domain.completion import SenderRules
from service.domain.priority import Urgency
from service.domain.work import Work
from service.network.find import count_images
from service.network.peer import DicomNode
from service.ops.metrics import Metrics
from service.ops.probes import WARNING, Health
from service.ops.processor import computes
from service.roles.process import monitor, now, stop_asked, wait_for
from service.rollout.assignment import Models
from service.rollout.shadow import Shadower
from service.rollout.worker_analysis import WorkerAnalysis
from service.settings import Settings, served_repository, tls_files, with_own_repository
from service.store.audit import DONE, FAILED, Audit
from service.store.durable_engine.engine import DurableEngine, QueueOptions
from service.store.presence import presence, present
from service.store.records import SeriesRecord
from service.store.retention import Retention
from service.store.study_tables import StudyTables
from service.worker.backend_watch import BackendWatch
from service.worker.delivery import Courier
from service.worker.delivery_plans import DeliveryPlans
from service.worker.janitor import Janitor, Kept, Trail
from service.worker.runner import ANALYSIS_RETRIES, Runner
from service.worker.study_reports import Observers, StudyReports
from service.worker.sweeper import Sweeper

log = logging.getLogger(__name__)


def run(settings: Settings, name: str) -> None:
    """Sweeper, analyses and deliveries, until SIGTERM; what is running is finished or taken over later.

    name: by which this process counts.
    """
    spool, engine = open_storage(settings)
    alive, metrics = shared_locks(settings, engine), Metrics(settings.destinations)
    tables, notes = StudyTables.on(engine), _ModelNotes(Audit(engine, now), metrics)
    models = Models(
        partial(served_repository, settings),
        lambda versions, beside: backend(with_own_repository(settings), versions, beside, mends=True),
        notes.served,
    )
    watchdog = Watchdog(
        _job_limits(settings), watchdog_dir(settings), lambda: alive.held, metrics.stopped, _end_process
    )
    chosen = pipelines(settings)
    studies = Studies(spool, tables.records, partial(_expected_images, settings), pipeline_rules(settings))
    whom = us(settings, "worker")
    observers = Observers(metrics, StudyReports(outbox(settings, engine), whom, now))
    comparing = comparer(settings, engine, spool, observers.reports.asking_for_earlier)
    ready_to = analysts(settings, chosen, models.active, comparing)
    analysis = WorkerAnalysis(ready_to, models, watchdog, studies)
    targets = to.targets(settings.destinations)
    plans = DeliveryPlans(targets, tables.jobs, tables.deliveries, now)
    work = Work(
        studies=Runner(analysis, tables, spool, plans, observers, notes.without_candidate, now),
        deliveries=Courier(targets, spool, tables.jobs, tables.deliveries, observers, now),
        shadows=Shadower(analysis.for_comparison(), tables, spool, metrics, ANALYSIS_RETRIES, now),
    )
    queues = {name: QueueOptions(one.concurrency, one.per_minute) for name, one in settings.destinations.items()}
    durable = DurableEngine(database(settings, "flow.db"), alive, queues, work)
    takers = partial(chosen_pipelines, settings, studies.facts)
    rules = SenderRules(partial(_quiet_s, settings), partial(_urgency, settings), takers, [one.name for one in chosen])
    sweeper = Sweeper(tables, durable, rules, partial(present, alive, "receiver"), now)
    ours = settings.retention
    kept = Kept(ours.files_for, ours.history_for, ours.audit_for)
    trail = Trail(Audit(engine, now), signing_heads(settings, engine))
    janitor = Janitor(Retention(engine), trail, spool, durable, observers, kept, now)
    watch = BackendWatch(models, alive, metrics, durable.retry_studies, checked_every_s(settings))
    sender = audit_sender(settings, engine, alive)
    parts: list[_Part] = [watchdog, durable, sweeper, janitor, watch]
    stop = stop_asked()
    for part in [*parts, *([sender] if sender else [])]:
        part.start()
    log.info(
        "worker ready: pipelines %s, on %s",
        ", ".join(one.name for one in chosen),
        computes(settings.inference.provider),
    )

    def at_work() -> bool:
        return all(part.alive for part in parts)

    def threads() -> Health:
        return {"threads": "ok" if at_work() else "a thread ended, or the lock of this worker did"}

    def ready() -> Health:
        served = f"{WARNING}{models.trouble}" if models.trouble else "ok"
        return {**threads(), "back end": watch.why_not or "ok", "models": served, "database": database_health(engine)}

    told = announced(outbox(settings, engine), whom)
    with told, monitor(settings, name, threads, ready), presence(alive, "worker"):
        if not wait_for(stop, at_work):
            log.error("a thread of the worker ended, or its lock did: the supervisor starts a new worker")
            _end_process()  # at once: another worker may have taken over what this one has in hand
        sweeper.stop()
        janitor.stop()
        if sender:
            sender.stop()
        idle = durable.stop()
    if not idle:
        log.info("stopped with work in hand: it is taken over at the next start")
        logging.shutdown()
        os._exit(0)  # the running step's thread would keep the process for minutes


class _Part(Protocol):
    """What works in a thread of its own."""

    @property
    def alive(self) -> bool: ...

    def start(self) -> None: ...


class _ModelNotes:
    """Notes for the audit trail, and counts, what becomes of models on this worker."""

    def __init__(self, audit: Audit, metrics: Metrics) -> None:
        self._audit = audit
        self._metrics = metrics
        self._who = f"worker on {gethostname()}"

    def served(self, versions: Mapping[str, str], trouble: str) -> None:
        """Other versions are served, or cannot be. trouble: why not, empty if they are."""
        outcome = FAILED if trouble else DONE
        self._audit.note(self._who, "serve", "models", outcome, versions=dict(versions), why=trouble)
        self._metrics.serving(not trouble)

    def without_candidate(self, job_id: str, name: str, version: str, why: str) -> None:
        """A study was analysed without its candidate."""
        what = "analyse without the candidate"
        self._audit.note(self._who, what, name, FAILED, version=version, job=job_id, why=why)
        self._metrics.candidate_failed()


def _end_process() -> NoReturn:
    """Without waiting for any thread."""
    logging.shutdown()
    os._exit(1)


def _job_limits(settings: Settings) -> JobLimits:
    memory_gb = settings.analysis.memory_limit_gb
    return JobLimits(settings.analysis.time_limit_s, None if memory_gb is None else memory_gb * 1e9)


def _quiet_s(settings: Settings, calling_ae: str) -> float:
    caller = settings.receiver.caller(calling_ae)
    return caller.quiet_s if caller and caller.quiet_s else settings.receiver.quiet_s


def _urgency(settings: Settings, calling_ae: str) -> Urgency:
    caller = settings.receiver.caller(calling_ae)
    return caller.urgency if caller else Urgency.ROUTINE


def _expected_images(settings: Settings, study_uid: str, series: Sequence[SeriesRecord]) -> Mapping[str, int]:
    """Ask each series' sender, where the settings say how to reach it."""
    expected = {}
    for one in series:
        caller = settings.receiver.caller(one.calling_ae)
        if caller is None or caller.host is None or caller.port is None:
            continue
        node = DicomNode(
            one.calling_ae,
            one.calling_ae,
            caller.host,
            caller.port,
            settings.receiver.ae_title,
            tls_files(caller.tls),
        )
        if (count := count_images(node, study_uid, one.series_uid)) is not None:
            expected[one.series_uid] = count
    return expected
