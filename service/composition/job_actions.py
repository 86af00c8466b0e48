"""Builds the operators' actions on jobs, from the settings."""

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from typing import Any

import sqlalchemy as sa

from service.composition import destinations as to
from service.composition.storage import existing_storage
from service.domain.dicom_file import beginning
from service.domain.unparsable import UNPARSABLE
from service.errors import Rejected
from service.settings import Settings
from service.store.audit import Audit
from service.store.names import results_folder
from service.store.overview import Overview
from service.store.records import Records
from service.store.reviews import Reviews
from service.store.study_tables import StudyTables
from service.store.worklist import Worklist
from service.worker.delivery_plans import DeliveryPlans
from service.worker.job_actions import JobActions

now = partial(datetime.now, UTC)


def open_job_actions(settings: Settings) -> JobActions:
    """Returns what an operator may do with jobs. Permanent if the service has no database yet."""
    _, engine = existing_storage(settings)
    return job_actions_on(settings, engine)


def job_actions_on(settings: Settings, engine: sa.Engine) -> JobActions:
    """The same on storage that is open."""
    tables = StudyTables.on(engine)
    plans = DeliveryPlans(to.targets(settings.destinations), tables.jobs, tables.deliveries, now)
    configured = [one.name for one in settings.pipelines]
    return JobActions(tables, Reviews(engine), plans, configured, Audit(engine, now), now)


def overview(settings: Settings) -> Overview:
    """The jobs as operators see them. Permanent if the service has no database yet."""
    _, engine = existing_storage(settings)
    return Overview(engine)


def worklist(settings: Settings) -> Worklist:
    """The studies to be read. Permanent if the service has no database yet."""
    _, engine = existing_storage(settings)
    return Worklist(engine)


def compared_with(settings: Settings, job: Mapping[str, Any]) -> str:
    """Returns with which earlier CT a job's result was compared, as its result.json tells; "" if with none."""
    spool, _ = existing_storage(settings)
    try:
        with spool.local([f"{results_folder(job['job_id'])}/result.json"]) as (path,):
            found = json.loads(path.read_bytes()).get("comparison")
            return f"CT of {found['acquired_at'][:10]}, {found['days']} days earlier, study {found['study_uid']}"
    except (OSError, *UNPARSABLE):  # purged, or nothing was compared
        return ""


def accession_number(settings: Settings, job: Mapping[str, Any]) -> str:
    """Returns the Accession Number (0008,0050) of a job's study, "" where no file of it tells.

    The database does not hold it: it is the patient's. It is read for an operator's eyes, and must not be logged.
    """
    spool, engine = existing_storage(settings)
    received = [path for one in Records(engine).series_of(job["study_uid"]) for path in one.paths[:1]]
    for path in (*(stored["path"] for stored in job["objects"][:1]), *received):
        with suppress(OSError, Rejected, *UNPARSABLE), spool.local([path]) as (local,), local.open("rb") as file:
            found = str(beginning(file, ["AccessionNumber"]).get("AccessionNumber", ""))
            if printable := "".join(filter(str.isprintable, found)).strip():
                return printable
    return ""
