"""The process that operators ask: health, jobs, models, metrics."""

import logging
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial

import sqlalchemy as sa
from fastapi import FastAPI

from service import __version__
from service.composition import login
from service.composition.audit_messages import announced, outbox, tell_read, us
from service.composition.certificates import OUR_PORTS, in_use
from service.composition.job_actions import job_actions_on
from service.composition.model_actions import model_actions_on, self_promotion
from service.composition.storage import database_health, host_locks, metrics_dir, open_storage, shared_locks
from service.domain.ports import Spool
from service.errors import Permanent
from service.ops import readiness
from service.ops.api import SelfReport, create_app
from service.ops.audit_routes import audit_routes
from service.ops.connections import ConnectionLimits
from service.ops.counting_files import COUNTING
from service.ops.gauges import CertificateCollector, DatabaseCollector, SpoolCollector, audit_messages, readings
from service.ops.metrics import serving_trouble, turned_away
from service.ops.model_routes import model_routes
from service.ops.monitor import Listener
from service.ops.probes import WARNING, Health, create_monitor
from service.roles.process import folders, measured, now, stop_asked, wait_for
from service.rollout.model_actions import ModelActions
from service.settings import Settings, tls_files
from service.store.audit import Audit
from service.store.liveness import Locks
from service.store.overview import Overview
from service.store.presence import present
from service.store.retention import Retention
from service.store.reviews import Reviews
from service.store.worklist import Worklist
from service.tls import FollowedFiles
from service.worker.backend_watch import GROUP

log = logging.getLogger(__name__)


def run(settings: Settings, name: str) -> None:
    """The HTTP API, until SIGTERM. name: by which this process counts."""
    if settings.api.open_to_others:
        raise Permanent(settings.api.open_to_others)
    spool, engine = open_storage(settings)
    log.warning("who may ask the API: %s", login.in_words(settings))
    alive = shared_locks(settings, engine)
    models = model_actions_on(settings, engine)
    space = SpoolCollector(spool.free_bytes, spool.total_bytes, settings.receiver.marks.resume_free_bytes)
    certificates = CertificateCollector(in_use(settings), OUR_PORTS)
    database_gauges = _database_gauges(settings, engine, alive)
    report = SelfReport(
        healthy=lambda: {"database": database_health(engine)},
        ready=lambda: _readiness(settings, spool, engine, alive),
        metrics=lambda: measured(settings, name, space, certificates, database_gauges),
    )
    app = application(settings, engine, models, report)
    ours = settings.api
    limits = ConnectionLimits(ours.max_connections, ours.max_connections_per_peer, ours.request_s)
    beside = self_promotion(settings, models, alive)
    tls = FollowedFiles(files) if (files := tls_files(ours.tls)) else None
    stop = stop_asked()
    told = announced(outbox(settings, engine), us(settings, "api"))
    with told, _probes(settings, report), Listener("API", app, ours.host, ours.port, limits, tls) as listener:
        for task in beside:
            task.start()
        wait_for(stop, lambda: listener.alive and all(task.alive for task in beside))


def application(settings: Settings, engine: sa.Engine, models: ModelActions, report: SelfReport) -> FastAPI:
    """Return the whole API, as a process serves it."""
    trail = audit_routes(Audit(engine, now), partial(tell_read, settings))
    return create_app(
        __version__,
        Overview(engine),
        Worklist(engine),
        job_actions_on(settings, engine),
        report,
        [model_routes(models), trail, *login.pages(settings, engine)],
        login.access(settings, engine),
    )


def _probes(settings: Settings, report: SelfReport) -> AbstractContextManager[object]:
    """The probes on a port of their own, where the settings want it: nobody can take their connections and threads."""
    ours = settings.api
    if ours.probes_port is None:
        return nullcontext()
    return Listener(
        "probes", create_monitor(__version__, dict, report.ready, report.metrics), ours.host, ours.probes_port
    )


def _database_gauges(settings: Settings, engine: sa.Engine, alive: Locks) -> DatabaseCollector:
    overdue = partial(_overdue, settings, Retention(engine))
    verdicts = Reviews(engine).verdicts
    known = readings(Overview(engine), verdicts, overdue, alive.members, settings.destinations, now)
    told = outbox(settings, engine)
    return DatabaseCollector([*known, *([audit_messages(told.waiting_since, now)] if told else [])])


def _readiness(settings: Settings, spool: Spool, engine: sa.Engine, alive: Locks) -> Health:
    """Without what only a worker or a receiver knows, where each answers for itself."""
    where, counting = metrics_dir(settings), host_locks(settings).claimed(COUNTING)
    alone = settings.monitoring.port is not None
    refused = {} if alone else turned_away(where, counting)
    everywhere = {
        "database": database_health(engine),
        "receiver": "ok" if present(alive, "receiver") else "no receiver process is running",
        "worker": "ok" if present(alive, "worker") else "no worker process has its models loaded",
        "back end": "ok" if present(alive, GROUP) else "no worker has one that answers rightly: its log says why",
        "disk": readiness.disk(spool.free_bytes(), settings.receiver.marks, refused, folders(settings)),
    }
    if alone:
        return everywhere
    trouble = f"{WARNING}a worker cannot serve all models as it should: its log says why"
    models = trouble if serving_trouble(where, counting) else "ok"
    return {**everywhere, "models": models, "queue": readiness.queue(refused)}


def _overdue(settings: Settings, retention: Retention, at: datetime) -> int:
    keep = settings.retention.files_for
    return retention.overdue(None if keep is None else at - keep)
