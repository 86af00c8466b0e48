"""Settings become what operators work with: jobs, the audit trail."""

from datetime import UTC, datetime
from functools import partial

import sqlalchemy as sa

from service import destinations as to
from service.domain.ports import Spool
from service.ops.metrics import Metrics
from service.settings import (
    Settings,
)
from service.storage import open_storage
from service.store.audit import Audit
from service.store.deliveries import Deliveries
from service.store.jobs import Jobs
from service.store.overview import Overview
from service.store.records import Records
from service.store.reviews import Reviews
from service.worker.delivery import Courier
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


def audit(settings: Settings) -> Audit:
    """Who changed what."""
    _, engine = open_storage(settings)
    return Audit(engine, now)
