"""What a PACS holds against what the store says. After any accident, once all is quiet, the two must agree.

    found = audit(sent, records, flow, files, pacs)
    assert found.clean, found

sent: Study Instance UIDs whose images were all acknowledged. A study counts as committed when its one job of every
pipeline is delivered, its journal tells every step of each, and the PACS holds exactly the objects that it committed
to.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import obstore
import sqlalchemy as sa

from helpers.dicom_peers import Orthanc
from service.domain.delivery_state import Delivered
from service.domain.job_state import State
from service.store.names import RECEIVED, RESULTS
from service.store.object_spool import ObjectSpool
from service.store.tables import deliveries, events, evidence, instances, jobs

DEFAULT = ("covid-severity",)

_OF_STUDY = ("receive", "study complete")
_OF_JOB = ("start", "analyse", "built", "stored", "committed", "complete")
"""What the journal tells of a study until it is complete, and of its jobs until their commitment, in this order."""

_UNFINISHED = ("ENQUEUED", "DELAYED", "PENDING", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found. lost, duplicated: why, in words, by Study Instance UID. orphans: rows and files that nothing
    belongs to, or that are missing. pending: workflows that the engine has not ended."""

    committed: frozenset[str] = frozenset()
    lost: Mapping[str, str] = field(default_factory=dict)
    duplicated: Mapping[str, str] = field(default_factory=dict)
    orphans: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not (self.lost or self.duplicated or self.orphans or self.pending)


def audit(
    sent: Collection[str],
    records: sa.Engine,
    flow: sa.Engine,
    files: Collection[str],
    pacs: Orthanc,
    destination: str = "pacs",
    pipelines: Collection[str] = DEFAULT,
) -> Audit:
    """Compare. records, flow: databases of our tables and of the engine, the same one on PostgreSQL. files: relative
    paths of all that is in the spool. pipelines: that analyse every study."""
    held, lost, duplicated = results_in(pacs), {}, {}
    with records.begin() as connection:
        for study in sent:
            there = held.get(study, Counter())
            if why := next(filter(None, (_missing(connection, study, there, destination, p) for p in pipelines)), ""):
                lost[study] = why
            if why := _too_much(connection, study, there, destination, pipelines):
                duplicated[study] = why
        orphans = [*_orphans(connection, set(files)), *(f"study {s} is only in the PACS" for s in held.keys() - sent)]
    return Audit(
        frozenset(sent) - lost.keys() - duplicated.keys(), lost, duplicated, tuple(orphans), tuple(unfinished(flow))
    )


def results_in(pacs: Orthanc) -> dict[str, Counter[str]]:
    """How often each SOP Instance UID is there, by Study Instance UID; CT images are left out."""
    studies = {s["ID"]: s["MainDicomTags"]["StudyInstanceUID"] for s in pacs.get("/studies?expand")}
    series = {
        s["ID"]: studies[s["ParentStudy"]]
        for s in pacs.get("/series?expand")
        if s["MainDicomTags"].get("Modality") != "CT"
    }
    held: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for one in pacs.get("/instances?expand"):
        if one["ParentSeries"] in series:
            held[series[one["ParentSeries"]]][one["MainDicomTags"]["SOPInstanceUID"]] += 1
    return dict(held)


def unfinished(flow: sa.Engine) -> list[str]:
    """Workflows that wait, run, or were given up."""
    schema = "dbos." if flow.dialect.name != "sqlite" else ""
    query = sa.text(f"SELECT workflow_uuid, status FROM {schema}workflow_status WHERE status IN :which")
    query = query.bindparams(sa.bindparam("which", _UNFINISHED, expanding=True))
    with flow.begin() as connection:
        return [f"{uuid} is {status}" for uuid, status in connection.execute(query)]


def files_in(spool: Path | ObjectSpool) -> list[str]:
    """Relative paths of all files of a data directory or a bucket, parts included."""
    if isinstance(spool, Path):
        folders = (spool / RECEIVED, spool / RESULTS)
        return [p.relative_to(spool).as_posix() for f in folders for p in f.rglob("*") if p.is_file()]
    return [str(one["path"]) for listed in obstore.list(spool._store) for one in listed]


def _missing(connection: sa.Connection, study: str, held: Counter[str], destination: str, pipeline: str) -> str:
    """Says why the pipeline's results of the study are not delivered; empty if they are."""
    its = (jobs.c.study_uid == study) & (jobs.c.pipeline == pipeline)
    job = connection.execute(sa.select(jobs).where(its).order_by(jobs.c.revision.desc()).limit(1)).one_or_none()
    if job is None:
        return f"it has no job of {pipeline}"
    if job.state not in (State.DELIVERED, State.REFUSED):
        return f"its job {job.job_id} is {job.state}: {job.error}"
    here = (deliveries.c.job_id == job.job_id) & (deliveries.c.destination == destination)
    rows = connection.execute(sa.select(deliveries).where(here)).all()
    if not rows:
        return f"nothing of its job {job.job_id} was to be delivered"
    if open_rows := [row.state for row in rows if row.state != Delivered.COMMITTED]:
        return f"objects of job {job.job_id} are {', '.join(open_rows)}"
    if absent := [row.sop_instance_uid for row in rows if row.sop_instance_uid not in held]:
        return f"the PACS does not hold {', '.join(absent)} of job {job.job_id}"
    if job.state == State.DELIVERED and (untold := _untold(connection, study, job.job_id)):
        return f"its journal does not tell of {untold!r} in its place"
    return ""


def _too_much(
    connection: sa.Connection, study: str, held: Counter[str], destination: str, pipelines: Collection[str]
) -> str:
    """What the PACS holds beyond the objects of one job of each pipeline, each once; empty if nothing."""
    here = (jobs.c.study_uid == study) & (deliveries.c.destination == destination)
    columns = deliveries.c.sop_instance_uid, jobs.c.job_id, jobs.c.pipeline
    sent = sa.select(*columns).join(jobs, jobs.c.job_id == deliveries.c.job_id)
    job_of = {uid: (job_id, pipeline) for uid, job_id, pipeline in connection.execute(sent.where(here))}
    if strange := [uid for uid in held if uid not in job_of]:
        return f"the PACS holds what we have no row of: {', '.join(strange)}"
    if twice := [uid for uid, times in held.items() if times > 1]:
        return f"the PACS holds twice {', '.join(twice)}"
    sets = {job_of[uid] for uid in held}
    if others := {pipeline for _, pipeline in sets} - set(pipelines):
        return f"the PACS holds results of {', '.join(sorted(others))}"
    if len(sets) > len({pipeline for _, pipeline in sets}):
        return f"the PACS holds results of jobs {', '.join(sorted(job_id for job_id, _ in sets))}"
    return ""


def _untold(connection: sa.Connection, study: str, job_id: str) -> str | None:
    """The first step that the journal does not tell after the one before it."""
    its = (events.c.study_uid == study) & (events.c.job_id.is_(None) | (events.c.job_id == job_id))
    told = iter(connection.scalars(sa.select(events.c.step).where(its).order_by(events.c.id)))
    return next((step for step in (*_OF_STUDY, *_OF_JOB) if step not in told), None)


def _orphans(connection: sa.Connection, files: set[str]) -> Iterator[str]:
    received = {p for p in files if p.startswith(f"{RECEIVED}/")}
    recorded = set(connection.scalars(sa.select(instances.c.path)))
    yield from (f"received file without a row: {path}" for path in sorted(received - recorded))
    yield from (f"instance without its file: {path}" for path in sorted(recorded - received))
    with_results = sa.select(jobs.c.job_id).where(jobs.c.purged_at.is_(None))
    paths = sa.select(evidence.c.path).where(evidence.c.job_id.in_(with_results))
    results, kept = files - received, set(connection.scalars(paths))
    yield from (f"result without its file: {path}" for path in sorted(kept - results))
    known, folders = set(connection.scalars(with_results)), {PurePosixPath(path).parent for path in kept}
    with_objects = {_job_of(folder) for folder in folders}
    for path in sorted(map(PurePosixPath, results)):
        if _job_of(path) not in known:
            yield f"result file of no job: {path}"
        elif _job_of(path) in with_objects and path.name != "manifest.json" and path.parent not in folders:
            yield f"result file that its job does not name: {path}"


def _job_of(path: PurePosixPath) -> str:
    return path.parts[1]
