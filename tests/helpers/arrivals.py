"""Arrivals for tests of the store, without any network or real pixel data."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from service.domain.arrival import Arrival, Identity
from service.domain.completion import due, quiet_by_wall_clock
from service.domain.priority import Urgency
from service.store.records import Records
from service.store.spool import Spool

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)

PIPELINE = "covid-severity"


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def arrival(
    instance: str = "1", *, seconds: float = 0, content: bytes = b"a", ae: str = "CT1", **identity: Any
) -> Arrival:
    """A CT image of study "S", series "S.1" unless told otherwise, received so many seconds after START."""
    facts = {
        "sop_class_uid": str(CTImageStorage),
        "sop_instance_uid": instance,
        "study_uid": "S",
        "series_uid": "S.1",
        "modality": "CT",
        "transfer_syntax_uid": str(ExplicitVRLittleEndian),
        "acquired_at": None,
    }
    return Arrival(Identity(**(facts | identity)), ae, "THORACLE", "127.0.0.1", at(seconds), content)


def keep(spool: Spool, records: Records, one: Arrival, found_at: datetime | None = None) -> str:
    """Save and record; the path."""
    digest = sha256(one.content).hexdigest()
    path = spool.save(one.identity, one.content, digest)
    records.record(one, path, digest, spool.is_there, found_at)
    return path


def create_due_jobs(
    records: Records,
    now: datetime,
    quiet_s: Callable[[str], float],
    urgency: Callable[[str], Urgency] = lambda _: Urgency.ROUTINE,
    pipelines: Sequence[str] = (PIPELINE,),
) -> list[str]:
    """Create the jobs of all studies that are quiet by the wall clock, as a sweeper does; their ids."""
    studies = records.open_studies()
    quiet_for_s = quiet_by_wall_clock(studies, now)
    complete = [one for one in studies if due(one, quiet_for_s[one.study_uid], quiet_s(one.calling_ae))]
    return [job for one in complete for job in records.create_jobs(one, pipelines, urgency(one.calling_ae), now)]
