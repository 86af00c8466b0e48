"""An analysis of encrypted images gives the very bytes that one of plain images gives."""

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

import pytest
from helpers import arrivals, evidence_samples, make_ct
from helpers.databases import open_database
from helpers.encryption import encryption
from helpers.lungs_as_lobe import LungsAsLobe

from service.analysis.analyst import Analyst, Run
from service.analysis.open_study import Studies
from service.domain.arrival import Arrival, identify
from service.domain.eligibility import Limits
from service.domain.job import Job
from service.domain.job_state import State
from service.store.encryption import PLAIN, Encryption
from service.store.inbox import Inbox
from service.store.records import Records
from service.store.spool import Spool

pytestmark = pytest.mark.slow


class NoBackend:
    """`LungsAsLobe` asks nothing of it."""


def images() -> list[Arrival]:
    arrived = []
    for dataset in make_ct.make(slices=84).datasets:
        with BytesIO() as stream:
            dataset.save_as(stream, enforce_file_format=True)
            content = stream.getvalue()
        arrived.append(Arrival(identify(content), "CT1", "THORACLE", "127.0.0.1", arrivals.START, content))
    return arrived


def results(records: Records, folder: Path, how: Encryption, study: list[Arrival]) -> dict[str, bytes]:
    spool = Spool(folder, how)
    for one in study:
        Inbox(spool, records).take(one)
    uid = study[0].identity.study_uid
    job = Job("j", uid, 1, None, State.RUNNING, datetime.now(UTC), None, pipeline="covid-severity")
    analyst = Analyst(LungsAsLobe(), NoBackend(), Limits(), "0.1.0")  # type: ignore[arg-type]
    with Studies(spool, records, lambda _study, _series: {}).open(job) as opened:
        outcome = analyst.analyse(*opened, Run(evidence_samples.ANALYSED_AT))
    assert outcome.series_uid == study[0].identity.series_uid
    return {one.file_name: one.content for one in outcome.evidence}


def first_difference(one: bytes, other: bytes) -> tuple[int, bytes, bytes] | None:
    """The place and what stands around it in both; None for the same bytes."""
    if one == other:
        return None
    shorter = min(len(one), len(other))
    place = next((n for n in range(shorter) if one[n] != other[n]), shorter)
    around = slice(max(0, place - 40), place + 40)
    return place, one[around], other[around]


def test_results_are_the_same_bytes_whether_files_are_encrypted_or_not(tmp_path: Path) -> None:
    study, found = images(), list[dict[str, bytes]]()
    for name in ("plain", "encrypted"):
        engine = open_database(tmp_path / name / "records.db")
        how = encryption(engine) if name == "encrypted" else PLAIN
        found.append(results(Records(engine), tmp_path / name, how, study))
    plain, encrypted = found
    assert plain.keys() == encrypted.keys() and len(plain) > 1
    assert {name: first_difference(plain[name], encrypted[name]) for name in plain} == dict.fromkeys(plain, None)
    assert not [file for file in (tmp_path / "encrypted" / "spool").rglob("*.dcm") if b"DICM" in file.read_bytes()]
