"""One study, one accident, and what is in the PACS in the end."""

import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa
from helpers import make_ct
from helpers.dicom_peers import wait_until
from helpers.pacs_audit import Audit, audit, files_in, unfinished
from helpers.receiving import dataset_bytes

from service.domain.job_state import State as JobState
from service.store.spool import Spool
from service.store.tables import deliveries, evidence, jobs, removals, studies
from tests.crash_matrix.hospital import PATIENT, PIPELINES, QUICK, Hospital, Modality
from tests.crash_matrix.states import State

_ENDED = (JobState.DELIVERED, JobState.UNDELIVERED, JobState.REFUSED, JobState.FAILED)
_DELIVERED_WITHIN_S = 240
_QUIET_WITHIN_S = 120


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of one cell. repeated: objects that reached the PACS more than once, which is no harm.

    wrong: why not all is well, in words; lost, duplicated: whether that is it.
    """

    seconds: float
    repeated: int = 0
    wrong: str = ""
    lost: bool = False
    duplicated: bool = False

    @property
    def word(self) -> str:
        return (
            "lost" if self.lost else "duplicated" if self.duplicated else "not reached" if self.wrong else "committed"
        )


def run(hospital: Hospital, state: State, sent: Collection[str], folder: Path) -> tuple[str, Outcome]:
    """The study's UID and what became of it. sent: all studies that this hospital has seen before."""
    study, files = _study(state.key, folder)
    sender = PATIENT if state.patient else QUICK
    modalities: list[Modality] = []
    began = time.monotonic()
    try:
        state.accident.happen(hospital, lambda: modalities.append(hospital.send(files, sender)))
    except TimeoutError:
        return study, Outcome(time.monotonic() - began, wrong="the moment never came")
    with suppress(TimeoutError):  # the audit says where it stands
        wait_until(lambda: not modalities[0].is_alive(), _DELIVERED_WITHIN_S)
        wait_until(lambda: _ended(hospital, study, state.purges), _DELIVERED_WITHIN_S)
        wait_until(lambda: _idle(hospital), _QUIET_WITHIN_S)
    seconds = time.monotonic() - began
    wait_until(lambda: hospital.service.get("/readyz"), _QUIET_WITHIN_S)
    return study, _judge(hospital, study, sent, seconds, state.purges)


def leftovers(hospital: Hospital, sent: Collection[str]) -> Audit:
    """When all is over: what belongs to nothing, once what kills left half-written is removed. Stops the service."""
    with suppress(TimeoutError):  # the audit names them
        wait_until(lambda: not unfinished(hospital.flow), _QUIET_WITHIN_S)
    hospital.service.stop()
    hospital.backend.spool.remove_parts(-1.0, time.time())
    return _audit(hospital, sent)


def _study(key: str, folder: Path) -> tuple[str, list[Path]]:
    """A small CT with findings; studies differ in their UIDs only."""
    ct = make_ct.make(
        study=key,
        slices=42,
        spacing_mm=5.0,
        rows=48,
        columns=64,
        pixel_mm=(6.0, 6.0),
        findings=make_ct.FINDINGS,
    )
    return str(ct.datasets[0].StudyInstanceUID), make_ct.write(ct.datasets, folder / key)


def _ended(hospital: Hospital, study: str, purged: bool) -> bool:
    """Nothing of the study is under way; with `purged`, no file of it is left either."""
    with hospital.records.begin() as connection:  # the study first: a job that it has is then seen
        row = connection.execute(sa.select(studies).where(studies.c.study_uid == study)).one_or_none()
        states = set(connection.scalars(sa.select(jobs.c.state).where(jobs.c.study_uid == study)))
        listed = connection.scalars(sa.select(removals.c.path).where(removals.c.study_uid == study)).all()
    if row is None or row.revision != row.job_revision or not states or not states <= set(_ENDED):
        return False
    return not (purged and (row.kept or listed))


def _idle(hospital: Hospital) -> bool:
    """No step runs that the next study's moment could be mistaken for."""
    return not any(workflow.endswith("PENDING") for workflow in unfinished(hospital.flow))


def _judge(hospital: Hospital, study: str, sent: Collection[str], seconds: float, purged: bool) -> Outcome:
    found = _audit(hospital, {*sent, study})
    objects = _objects(hospital, study)
    repeated = sum(times > 1 for uid, times in hospital.pacs.stored().items() if uid in objects)
    if why := found.duplicated.get(study):
        return Outcome(seconds, repeated, why, duplicated=True)
    if why := found.lost.get(study) or (not purged and _altered(hospital, study, objects)):
        return Outcome(seconds, repeated, why, lost=True)
    return Outcome(seconds, repeated)


def _audit(hospital: Hospital, sent: Collection[str]) -> Audit:
    spool = hospital.backend.spool
    where = spool._root if isinstance(spool, Spool) else spool
    return audit(sent, hospital.records, hospital.flow, files_in(where), hospital.pacs, pipelines=PIPELINES)


def _objects(hospital: Hospital, study: str) -> dict[str, str]:
    """Path by SOP Instance UID of the results that a destination gets."""
    planned = sa.select(deliveries.c.sop_instance_uid).where(deliveries.c.job_id == evidence.c.job_id)
    query = (
        sa.select(evidence.c.sop_instance_uid, evidence.c.path)
        .join(jobs, jobs.c.job_id == evidence.c.job_id)
        .where(jobs.c.study_uid == study, evidence.c.sop_instance_uid.in_(planned))
    )
    with hospital.records.begin() as connection:
        return dict(connection.execute(query).all())


def _altered(hospital: Hospital, study: str, kept: Mapping[str, str]) -> str:
    """Which object the PACS holds with other bytes than we do; empty if none."""
    held = hospital.pacs.files(study)
    with hospital.backend.spool.local(list(kept.values())) as paths, TemporaryDirectory() as folder:
        for uid, path in zip(kept, paths, strict=True):
            there = Path(folder) / "held"
            there.write_bytes(held[uid])
            if dataset_bytes(there) != dataset_bytes(path):
                return f"the PACS holds {uid} with other bytes"
    return ""
