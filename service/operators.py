"""Settings become what operators work with: jobs, models, the audit trail."""

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from service import destinations as to
from service.backends import backend
from service.domain.ports import Backend, Spool
from service.errors import Permanent
from service.inference.files import DIGESTS
from service.inference.onnx import OnnxBackend
from service.ops.metrics import Metrics
from service.pipelines import named
from service.settings import (
    Settings,
    default_repository,
    own_repository,
    served_repository,
    trial_ct,
    with_own_repository,
)
from service.storage import open_storage
from service.store.audit import Audit
from service.store.deliveries import Deliveries
from service.store.jobs import Jobs
from service.store.overview import Overview
from service.store.records import Records
from service.store.reviews import Reviews
from service.store.shadows import Shadows
from service.worker import Courier
from service.worker.gate import Gate
from service.worker.model_operator import ModelOperator
from service.worker.operator import Operator

now = partial(datetime.now, UTC)


def job_operator(settings: Settings) -> Operator:
    """What an operator may do with jobs."""
    spool, engine = open_storage(settings)
    return job_operator_on(settings, spool, engine)


def job_operator_on(settings: Settings, spool: Spool, engine: sa.Engine) -> Operator:
    """The same on storage that is open."""
    jobs, deliveries = Jobs(engine), Deliveries(engine)
    courier = Courier(to.targets(settings.destinations), spool, jobs, deliveries, Metrics(), now)
    return Operator(jobs, Records(engine), deliveries, Reviews(engine), courier, Audit(engine, now), now)


def overview(settings: Settings) -> Overview:
    """The jobs as operators see them."""
    _, engine = open_storage(settings)
    return Overview(engine)


def model_operator(settings: Settings) -> ModelOperator:
    """What an operator may do with models."""
    _, engine = open_storage(settings)
    return model_operator_on(settings, engine)


def model_operator_on(settings: Settings, engine: sa.Engine) -> ModelOperator:
    """The same on storage that is open."""

    def own() -> Path:
        root = own_models(settings)
        if not (root / DIGESTS).exists():
            raise Permanent(
                "The shipped models are served, which are never changed; `thoracle models init` copies them."
            )
        return root

    def in_process(versions: Mapping[str, str]) -> Backend:
        ours = with_own_repository(settings).inference
        return OnnxBackend(ours.repository, ours.threads, versions)

    def server(versions: Mapping[str, str]) -> Backend:
        return backend(with_own_repository(settings), versions)

    elsewhere = server if settings.inference.backend != "onnx" else None
    gate = Gate(named(settings.pipeline), trial_ct(settings), in_process, elsewhere)
    served = partial(served_repository, settings)
    return ModelOperator(served, own, gate, Audit(engine, now), Shadows(engine))


def audit(settings: Settings) -> Audit:
    """Who changed what."""
    _, engine = open_storage(settings)
    return Audit(engine, now)


def shipped_models() -> Path:
    """The model repository that comes with this version; never changed."""
    return default_repository()


def own_models(settings: Settings) -> Path:
    """The model repository that this site may change; Permanent if the configuration names the shipped one."""
    own = own_repository(settings)
    if own.resolve() == shipped_models().resolve():
        raise Permanent(
            f"{own} holds the shipped models, which an upgrade replaces. Leave `inference.repository` out of the "
            "configuration (your models are then kept in `models` in the data directory), or name an empty folder. "
            "In the Helm chart, name a `models.claim`."
        )
    return own
