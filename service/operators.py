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
from service.storage import existing_storage, has_database, open_storage
from service.store.audit import REFUSED, Audit
from service.store.deliveries import Deliveries
from service.store.jobs import Jobs
from service.store.overview import Overview
from service.store.records import Records
from service.store.reviews import Reviews
from service.worker.delivery import Courier
from service.worker.operator import Operator

now = partial(datetime.now, UTC)


def job_operator(settings: Settings) -> Operator:
    """What an operator may do with jobs. Permanent if the service has no database yet."""
    spool, engine = existing_storage(settings)
    return job_operator_on(settings, spool, engine)


def job_operator_on(settings: Settings, spool: Spool, engine: sa.Engine) -> Operator:
    """The same on storage that is open."""
    jobs, deliveries = Jobs(engine), Deliveries(engine)
    courier = Courier(to.targets(settings.destinations), spool, jobs, deliveries, Metrics(), now)
    return Operator(jobs, Records(engine), deliveries, Reviews(engine), courier, Audit(engine, now), now)


def overview(settings: Settings) -> Overview:
    """The jobs as operators see them. Permanent if the service has no database yet."""
    _, engine = existing_storage(settings)
    return Overview(engine)


def audit(settings: Settings) -> Audit:
    """Returns the audit trail. Permanent if the service has no database yet."""
    _, engine = existing_storage(settings)
    return Audit(engine, now)


def new_audit(settings: Settings) -> Audit:
    """Returns the audit trail; the database is created if there is none."""
    _, engine = open_storage(settings)
    return Audit(engine, now)


def note_refusal(settings: Settings, by: str, what: str, subject: str, why: str) -> None:
    """Write a refused change into the audit trail, where there is one: a refusal creates none."""
    if has_database(settings):
        new_audit(settings).note(by, what, subject, REFUSED, why=why)
