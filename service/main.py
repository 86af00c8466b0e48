"""Composition root: settings become objects, and the objects run. Nothing else reads settings."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from socket import gethostname

import sqlalchemy as sa
from prometheus_client.registry import Collector

from service import __version__
from service import destinations as to
from service.backends import backend, checked_every_s
from service.domain.commitment import Report
from service.domain.job import State
from service.domain.ports import Backend, Pipeline, Spool
from service.domain.priority import Urgency
from service.errors import Permanent
from service.inference.files import model_files
from service.inference.triton_server import launch
from service.network.admission import Admission
from service.network.find import count_images
from service.network.peer import DicomNode
from service.network.receive import Receiver
from service.operators import job_operator_on, model_operator_on
from service.ops import readiness
from service.ops.api import create_app
from service.ops.gauges import DatabaseCollector, SpoolCollector, readings
from service.ops.metrics import COUNTING, Counted, Metrics, exposition, refusing, serving_trouble
from service.ops.model_actions import model_actions
from service.ops.monitor import Listener
from service.ops.probes import WARNING, Health, create_monitor
from service.ops.supervisor import supervise
from service.pipelines import named
from service.settings import Settings, served_repository, with_own_repository
from service.storage import (
    damaged_files,
    database,
    database_health,
    host_locks,
    metrics_dir,
    open_storage,
    shared_locks,
)
from service.store.audit import DONE, FAILED, Audit
from service.store.backlog import Backlog
from service.store.deliveries import Deliveries
from service.store.flow import Flow
from service.store.inbox import Inbox
from service.store.jobs import Jobs
from service.store.liveness import Locks
from service.store.names import RECEIVED, RESULTS
from service.store.overview import Overview
from service.store.presence import presence, present
from service.store.records import Records, SeriesRecord
from service.store.retention import Retention
from service.store.reviews import Reviews
from service.store.shadows import Shadows
from service.worker import Analyst, Courier, Janitor, Models, Runner, Shadower, Studies, Sweeper, keep_report
from service.worker.backend_watch import GROUP, BackendWatch
from service.worker.runner import ANALYSIS_RETRIES

log = logging.getLogger(__name__)

now = partial(datetime.now, UTC)


def analyst(settings: Settings, chosen: Pipeline, loaded: Backend | None = None) -> Analyst:
    """The analysis with its models loaded; Permanent if a model is missing or not the one that was released.

    loaded: the models, if they are.
    """
    runs_on = loaded or backend(settings)
    for name in chosen.models:
        runs_on.spec(name)
    everywhere = settings.destinations.values()
    return Analyst(
        chosen,
        runs_on,
        settings.limits,
        __version__,
        settings.institution,
        to.styles(everywhere),
        to.capture_wanted(everywhere),
        to.notice_wanted(everywhere),
    )


def serve(settings: Settings, config: Path | None) -> int:
    """Start receiver, worker and API as processes of their own and mind them until SIGTERM; 0 after a clean stop.

    Permanent for what no restart would mend, and when this data directory is served already.
    """
    if settings.monitoring.port is not None:
        raise Permanent(
            "monitoring.port is for processes that run alone (--role receiver, --role worker); here the api answers "
            "for all of them. Leave it out of the configuration"
        )
    here = host_locks(settings)
    if present(here, "serve"):
        raise Permanent(f"'thoracle serve' is already running on the data directory {settings.data_dir}")
    with presence(here, "serve"):
        for wrong in damaged_files(settings):
            raise Permanent(wrong)
        analyst(settings, named(settings.pipeline))
        arguments = ["--config", str(config)] if config else []
        command = [sys.executable, "-m", "service", "serve", *arguments, "--role"]
        return supervise({role: [*command, role] for role in ("receiver", "worker", "api")})


def run_receiver(settings: Settings, name: str) -> None:
    """The Storage SCP, until SIGTERM. name: by which this process counts."""
    ours = settings.receiver
    # What a power cut may take from these rows, `reconcile` reads from the spool again.
    spool, engine = open_storage(settings, synchronous="NORMAL")
    inbox = Inbox(spool, Records(engine))
    metrics, deliveries = Metrics(), Deliveries(engine)
    recovered = inbox.reconcile(now())
    if recovered:
        log.warning("%d files in the spool had no record: recorded", recovered)

    backlog = Backlog(engine)
    admission = Admission(ours.marks, spool.free_bytes, backlog.waiting, backlog.holds, metrics)

    def still_looking() -> bool:
        admission.look()  # also when nobody sends: what was refused is to be shown as taken again
        return True

    def on_report(_calling_ae: str, report: Report) -> bool:
        return keep_report(report, deliveries, metrics, now())

    receiver = Receiver(
        inbox,
        metrics,
        ours.ae_title,
        ours.host,
        ours.port,
        allowed_calling_aets=_allowed(settings),
        max_associations=ours.max_associations,
        admission=admission,
        on_report=on_report,
    )
    receiver.start()
    log.info("receiving as %s on %s:%d", ours.ae_title, ours.host, ours.port)

    def listening() -> Health:
        return {"receiver": "ok" if receiver.listening else "the DICOM port is closed"}

    def ready() -> Health:
        # Not what it refuses under pressure: that its sender is to hear from itself, and begun studies are still taken.
        disk = readiness.writable(_folders(settings))
        return {**listening(), "database": database_health(engine), "disk": disk}

    with _monitor(settings, name, listening, ready), presence(shared_locks(settings, engine), "receiver"):
        _wait_for_sigterm(still_looking)
    receiver.stop()


def run_worker(settings: Settings, name: str) -> None:
    """Sweeper, analyses and deliveries, until SIGTERM; what is running is finished or taken over later.

    name: by which this process counts.
    """
    spool, engine = open_storage(settings)
    records, jobs = Records(engine), Jobs(engine)
    chosen = named(settings.pipeline)
    audit, shadows = Audit(engine, now), Shadows(engine)
    deliveries, alive = Deliveries(engine), shared_locks(settings, engine)
    metrics = Metrics(settings.destinations)
    courier = Courier(to.targets(settings.destinations), spool, jobs, deliveries, metrics, now)

    def prioritise(job_id: str, priority: int) -> None:
        flow.prioritise(job_id, priority)

    def told(versions: Mapping[str, str], trouble: str) -> None:
        outcome = FAILED if trouble else DONE
        audit.note(f"worker on {gethostname()}", "serve", "models", outcome, versions=dict(versions), why=trouble)
        metrics.serving(not trouble)

    def without(job_id: str, name: str, version: str, why: str) -> None:
        here = f"worker on {gethostname()}"
        audit.note(here, "analyse without the candidate", name, FAILED, version=version, job=job_id, why=why)
        metrics.candidate_failed()

    models = Models(
        partial(served_repository, settings),
        lambda versions, beside: backend(with_own_repository(settings), versions, beside),
        told,
    )
    working = analyst(settings, chosen, models.active)
    studies = Studies(spool, records, partial(_expected_images, settings))
    shadower = Shadower(working, models, studies, spool, jobs, shadows, metrics, ANALYSIS_RETRIES, now)
    runner = Runner(
        working, models, shadower, studies, spool, records, jobs, courier, metrics, prioritise, without, now
    )
    flow = Flow(database(settings, "flow.db"), alive, to.queues(settings.destinations), runner)
    flow.start()
    quiet_s, urgency = partial(_quiet_s, settings), partial(_urgency, settings)
    receiving = partial(present, alive, "receiver")
    sweeper = Sweeper(records, jobs, deliveries, shadows, flow, quiet_s, urgency, receiving, now)
    sweeper.start()
    janitor = Janitor(Retention(engine), spool, flow, metrics, *_kept_for(settings), now)
    janitor.start()
    watch = BackendWatch(models, alive, metrics, checked_every_s(settings))
    watch.start()
    log.info("worker ready: pipeline %s", chosen.name)

    def at_work() -> bool:
        return flow.alive and sweeper.alive and janitor.alive and watch.alive

    def threads() -> Health:
        return {"threads": "ok" if at_work() else "a thread ended, or the lock of this worker did"}

    def ready() -> Health:
        served = f"{WARNING}{models.trouble}" if models.trouble else "ok"
        return {**threads(), "back end": watch.why_not or "ok", "models": served, "database": database_health(engine)}

    with _monitor(settings, name, threads, ready), presence(alive, "worker"):
        if not _wait_for_sigterm(at_work):
            log.error("a thread of the worker ended, or its lock did: the supervisor starts a new worker")
            logging.shutdown()
            os._exit(1)  # at once: another worker may have taken over what this one has in hand
        sweeper.stop()
        janitor.stop()
        idle = flow.stop()
    if not idle:
        log.info("stopped with work in hand: it is taken over at the next start")
        logging.shutdown()
        os._exit(0)  # the running step's thread would keep the process for minutes


def run_api(settings: Settings, name: str) -> None:
    """The HTTP API, until SIGTERM. name: by which this process counts."""
    spool, engine = open_storage(settings)
    seen, alive = Overview(engine), shared_locks(settings, engine)
    database_gauges = DatabaseCollector(
        readings(
            seen,
            Reviews(engine).verdicts,
            partial(_overdue, settings, Retention(engine)),
            alive.members,
            settings.destinations,
            now,
        )
    )
    space = SpoolCollector(spool.free_bytes, spool.total_bytes, settings.receiver.marks.resume_free_bytes)
    app = create_app(
        __version__,
        seen,
        job_operator_on(settings, spool, engine),
        [state.value for state in State],
        lambda: {"database": database_health(engine)},
        lambda: _readiness(settings, spool, engine, alive),
        lambda: _metrics(settings, name, space, database_gauges),
        [model_actions(model_operator_on(settings, engine), Audit(engine, now))],
    )
    with Listener("API", app, settings.api.host, settings.api.port) as listener:
        _wait_for_sigterm(lambda: listener.alive)


def triton(settings: Settings, ports: launch.Ports, more: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Arguments and environment of a Triton server for trial; Permanent if it or a model is not installed."""
    model_files(settings.inference.repository)
    return launch.command(settings.inference.repository, settings.data_dir / "triton", ports, more)


def _allowed(settings: Settings) -> tuple[str, ...]:
    """Also whoever is to report to us that it keeps the results; empty: everybody."""
    known = settings.receiver.allowed_calling_aets
    return tuple({*known, *to.reporting(settings.destinations.values())}) if known else ()


def _quiet_s(settings: Settings, calling_ae: str) -> float:
    peer = settings.receiver.peers.get(calling_ae)
    return peer.quiet_s if peer and peer.quiet_s else settings.receiver.quiet_s


def _kept_for(settings: Settings) -> tuple[timedelta | None, timedelta | None]:
    """Files, history; None: for ever."""
    ours = settings.retention
    files, history = (None if days is None else timedelta(days=days) for days in (ours.keep_days, ours.history_days))
    return files, history


def _overdue(settings: Settings, retention: Retention, at: datetime) -> int:
    keep, _ = _kept_for(settings)
    return retention.overdue(None if keep is None else at - keep)


def _urgency(settings: Settings, calling_ae: str) -> Urgency:
    peer = settings.receiver.peers.get(calling_ae)
    return peer.urgency if peer else Urgency.ROUTINE


def _expected_images(settings: Settings, study_uid: str, series: Sequence[SeriesRecord]) -> Mapping[str, int]:
    """Ask each series' sender, where the settings say how to reach it."""
    expected = {}
    for one in series:
        peer = settings.receiver.peers.get(one.calling_ae)
        if peer is None or peer.host is None or peer.port is None:
            continue
        node = DicomNode(one.calling_ae, one.calling_ae, peer.host, peer.port, settings.receiver.ae_title)
        if (count := count_images(node, study_uid, one.series_uid)) is not None:
            expected[one.series_uid] = count
    return expected


def _readiness(settings: Settings, spool: Spool, engine: sa.Engine, alive: Locks) -> Health:
    """Without what only a worker or a receiver knows, where each answers for itself."""
    where, counting = metrics_dir(settings), host_locks(settings).claimed(COUNTING)
    alone = settings.monitoring.port is not None
    refused = {} if alone else refusing(where, counting)
    everywhere = {
        "database": database_health(engine),
        "receiver": "ok" if present(alive, "receiver") else "no receiver process is running",
        "worker": "ok" if present(alive, "worker") else "no worker process has its models loaded",
        "back end": "ok" if present(alive, GROUP) else "no worker has one that answers rightly: its log says why",
        "disk": readiness.disk(spool.free_bytes(), settings.receiver.marks, refused, _folders(settings)),
    }
    if alone:
        return everywhere
    trouble = f"{WARNING}a worker cannot serve all models as it should: its log says why"
    models = trouble if serving_trouble(where, counting) else "ok"
    return {**everywhere, "models": models, "queue": readiness.queue(refused)}


def _folders(settings: Settings) -> Sequence[Path]:
    """That must be writable, if they are there."""
    return (settings.data_dir, *(settings.data_dir / name for name in (RECEIVED, RESULTS)))


def _metrics(settings: Settings, name: str, *more: Collector) -> bytes:
    """Of all processes beside this one, unless each answers for itself."""
    alone = settings.monitoring.port is not None
    living = host_locks(settings).claimed(COUNTING)
    return exposition(Counted(metrics_dir(settings), living, name if alone else None), *more)


def _monitor(
    settings: Settings, name: str, alive: Callable[[], Health], ready: Callable[[], Health]
) -> AbstractContextManager[object]:
    """Probes and metrics of a process that runs alone, where the settings want them."""
    ours = settings.monitoring
    if ours.port is None:
        return nullcontext()
    app = create_monitor(__version__, alive, ready, lambda: _metrics(settings, name))
    return Listener("monitoring", app, ours.host, ours.port)


def _wait_for_sigterm(alive: Callable[[], bool] = lambda: True) -> bool:
    """True at SIGTERM or SIGINT; False when what the process is for is no longer alive."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(0.5):
        if not alive():
            return False
    return True
