"""Deliveries to archives that take, drop, rename, refuse and do not answer: real evidence over real associations."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from helpers import arrivals, evidence_samples, make_ct
from helpers.choosy_archive import ChoosyArchive
from helpers.reports import observed_by
from pydicom import Dataset, dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    ComprehensiveSRStorage,
    EncapsulatedPDFStorage,
    ExplicitVRLittleEndian,
    SegmentationStorage,
)

from service.composition.destinations import selections, targets
from service.domain.job import Result, StoredObject
from service.domain.job_state import State
from service.domain.work import DONE
from service.evidence.context import Evidence
from service.settings import AnyDestination, DicomDestination, WebDestination
from service.store.deliveries import Deliveries
from service.store.engine import sqlite_engine
from service.store.inbox import Inbox
from service.store.jobs import Jobs
from service.store.migrations import upgrade
from service.store.overview import Overview
from service.store.records import Records
from service.store.spool import Spool
from service.worker.delivery import Courier
from service.worker.delivery_plans import DeliveryPlans

pytestmark = pytest.mark.peers

LABEL_MAP = "1.2.840.10008.5.1.4.1.1.66.7"
PLAIN = [ExplicitVRLittleEndian]


@pytest.fixture(scope="module")
def evidence() -> tuple[Evidence, ...]:
    """In both styles."""
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    labelled = DicomDestination(ae_title="PACS", host="pacs", seg="labelmap")
    return evidence_samples.encoded(ct, analysis, evidence_samples.context(ct), selections([labelled]))


class Hospital:
    """An analysed job, an archive, and a clock that goes on by 100 s with each attempt."""

    def __init__(self, folder: Path, evidence: tuple[Evidence, ...], pacs: AnyDestination) -> None:
        folder.mkdir()
        engine = sqlite_engine(folder / "records.db")
        upgrade(engine)
        self.now, self.attempt, self.counted = arrivals.at(300), 0, Counter[str]()
        self.jobs, self.overview = Jobs(engine), Overview(engine)
        records, spool = Records(engine), Spool(folder)
        Inbox(spool, records).take(arrivals.arrival(acquired_at=arrivals.at(0)))
        (self.job_id,) = arrivals.create_due_jobs(records, self.now, lambda _: 1.0)
        destinations, deliveries = targets({"pacs": pacs}), Deliveries(engine)
        self.courier = Courier(destinations, spool, self.jobs, deliveries, observed_by(self), lambda: self.now)
        objects = [item for item in evidence if item.sop_instance_uid and item.sop_class_uid]
        paths = spool.save_results(self.job_id, {item.file_name: item.content for item in objects})
        stored = [_stored(item, paths[item.file_name]) for item in objects]
        self.jobs.start(self.job_id, self.now)
        self.jobs.finish(self.job_id, Result(series_uid="S", objects=stored), self.now)
        plans = DeliveryPlans(destinations, self.jobs, deliveries, lambda: self.now)
        plans.begin(self.jobs.get(self.job_id))

    def deliver(self, attempts: int) -> State:
        """As many attempts, or until nothing is open."""
        for _ in range(attempts):
            self.attempt += 1
            if self.courier.deliver(self.job_id, "pacs", self.attempt) == DONE:
                break
            self.now += timedelta(seconds=100)
        return self.jobs.get(self.job_id).state

    def delivery(self, destination: str, outcome: str) -> None:
        self.counted[f"{destination} {outcome}"] += 1

    def delivered(self, latency_s: float) -> None:
        """Counted elsewhere."""

    @property
    def rows(self) -> dict[str, dict[str, Any]]:
        """What is told of each object, by kind and style."""
        told = self.overview.job(self.job_id) or {}
        kinds = {o["sop_instance_uid"]: _name(o) for o in told["objects"]}
        return {kinds[row["sop_instance_uid"]]: row for row in told["deliveries"]}

    @property
    def states(self) -> dict[str, str]:
        return {kind: row["state"] for kind, row in self.rows.items()}


def _name(stored: dict[str, Any]) -> str:
    """Kind and style. The summary that refers to no Segmentation is "study alone"."""
    alone = " alone" if stored["kind"] == "study" and len(stored["refers_to"]) == 1 else ""
    return f"{stored['kind']}{alone} {stored['style'] or ''}".strip()


def destination(archive: ChoosyArchive, **options: Any) -> DicomDestination:
    node = {"ae_title": archive.AET, "host": "127.0.0.1", "port": archive.port, "answer_within_s": 90}
    return DicomDestination(**node | options)


def got(archive: ChoosyArchive) -> list[Dataset]:
    return [dcmread(path) for path in archive.got]


def _stored(item: Evidence, path: str) -> StoredObject:
    style = item.style.name if item.style else None
    return StoredObject(
        item.kind, str(item.sop_class_uid), str(item.sop_instance_uid), path, "", style, item.series_uid, item.refers_to
    )


ALL = ("lobes binary", "findings binary", "measurements binary", "study binary", "report-dicom")


@pytest.mark.parametrize(("keeps", "commits"), [("renamed", None), ("nothing", 0x0124), ("nothing", 0x0000)])
def test_an_archive_that_never_has_what_it_takes_is_sent_each_object_three_times(
    tmp_path: Path, evidence: tuple[Evidence, ...], keeps: str, commits: int | None
) -> None:
    statuses = {EncapsulatedPDFStorage: 0xB000}
    with ChoosyArchive(tmp_path / "pacs", keeps=keeps, finds=True, commits=commits, statuses=statuses) as archive:
        hospital = Hospital(tmp_path / "service", evidence, destination(archive))
        assert hospital.deliver(60) is State.UNDELIVERED
        assert {str(uid): n for uid, n in Counter(one.SOPInstanceUID for one in got(archive)).items()} == {
            row["sop_instance_uid"]: 3 for row in hospital.rows.values()
        }
    assert hospital.states == dict.fromkeys(ALL, "unconfirmed")
    why = "the archive takes it and does not have it; it may assign other UIDs"
    assert all(why in row["last_error"] for row in hospital.rows.values())
    assert (hospital.rows["report-dicom"]["status"], hospital.counted["pacs warned"]) == (0xB000, 3)
    assert hospital.rows["report-dicom"]["last_error"].endswith("; it changed elements when it took it (0xB000)")


@pytest.mark.parametrize("commits", [None, 0x0124, 0x0110])
def test_an_archive_that_commits_to_nothing_is_searched_at_once(
    tmp_path: Path, evidence: tuple[Evidence, ...], commits: int | None
) -> None:
    with ChoosyArchive(tmp_path / "pacs", finds=True, commits=commits) as archive:
        hospital = Hospital(tmp_path / "service", evidence, destination(archive))
        assert hospital.deliver(1) is State.DELIVERED
    assert hospital.states == dict.fromkeys(ALL, "committed")


@pytest.mark.parametrize("how", ["class not accepted", 0x0122, 0xA900])
def test_an_archive_without_label_maps_gets_binary_ones_and_no_pointer_to_what_it_refused(
    tmp_path: Path, evidence: tuple[Evidence, ...], how: int | str
) -> None:
    known = (SegmentationStorage, Comprehensive3DSRStorage, EncapsulatedPDFStorage)
    takes = {"takes": dict.fromkeys(known, PLAIN)} if isinstance(how, str) else {"statuses": {LABEL_MAP: how}}
    with ChoosyArchive(tmp_path / "pacs", **takes) as archive:
        hospital = Hospital(tmp_path / "service", evidence, destination(archive, seg="labelmap", confirm="none"))
        assert hospital.deliver(1) is State.DELIVERED
        taken = [one for one in got(archive) if one.SOPClassUID != LABEL_MAP]
    replaced = dict.fromkeys(
        ("lobes labelmap", "findings labelmap", "measurements labelmap", "study labelmap"), "withdrawn"
    )
    assert hospital.states == dict.fromkeys(ALL, "stored") | replaced
    segs = {one.SOPInstanceUID for one in taken if one.Modality == "SEG"}
    (measurements,) = (one for one in taken if one.get("SOPInstanceUID") == _uid(hospital, "measurements binary"))
    referred = {e.value for e in measurements.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
    assert segs <= referred, "the measurements point at the binary Segmentations"


@pytest.mark.parametrize("how", ["class not accepted", 0xA900])
@pytest.mark.parametrize("seg", ["binary", "labelmap"])
def test_an_archive_that_refuses_segmentations_gets_the_numbers_and_no_pointer_to_them(
    tmp_path: Path, evidence: tuple[Evidence, ...], how: int | str, seg: Any
) -> None:
    takes = {"takes": dict.fromkeys((Comprehensive3DSRStorage, EncapsulatedPDFStorage), PLAIN)}
    refuses = {"statuses": dict.fromkeys((SegmentationStorage, LABEL_MAP), how)}
    with ChoosyArchive(tmp_path / "pacs", **takes if isinstance(how, str) else refuses) as archive:
        hospital = Hospital(tmp_path / "service", evidence, destination(archive, confirm="none", seg=seg))
        assert hospital.deliver(1) is State.UNDELIVERED, "Segmentations that were refused are named"
        (root,) = (one for one in got(archive) if one.Modality == "SR")
    refused = {"lobes binary": "refused", "findings binary": "refused", "measurements binary": "withheld"}
    replaced = {"study binary": "withdrawn", "study alone binary": "stored", "report-dicom": "stored"}
    binary = {kind: state for kind, state in hospital.states.items() if "labelmap" not in kind}
    assert binary == refused | replaced
    assert root.SOPInstanceUID == _uid(hospital, "study alone binary")
    referred = {e.value for e in root.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
    assert _uid(hospital, "report-dicom") in referred
    assert not referred & {row["sop_instance_uid"] for kind, row in hospital.rows.items() if kind in refused}
    assert "it refers to lobes, which is refused" in hospital.rows["measurements binary"]["last_error"]
    assert hospital.rows["study binary"]["last_error"] == (
        "withheld: it refers to lobes, which is refused at pacs: a summary that does not refer to it is sent instead"
    )


def test_documents_that_were_converted_are_found_under_their_own_uids(
    tmp_path: Path, evidence: tuple[Evidence, ...]
) -> None:
    known = (SegmentationStorage, ComprehensiveSRStorage, EncapsulatedPDFStorage)
    with ChoosyArchive(tmp_path / "pacs", takes=dict.fromkeys(known, PLAIN), finds=True) as archive:
        hospital = Hospital(tmp_path / "service", evidence, destination(archive))
        assert hospital.deliver(1) is State.DELIVERED
    assert hospital.states == dict.fromkeys(ALL, "committed")
    sent = hospital.rows["study binary"]["sent_class_uid"], hospital.rows["study binary"]["sent_instance_uid"]
    assert sent in {(one.SOPClassUID, one.SOPInstanceUID) for one in got(archive)}
    assert sent[1] != hospital.rows["study binary"]["sop_instance_uid"]


def test_a_host_name_that_cannot_be_resolved_waits_and_says_so(tmp_path: Path, evidence: tuple[Evidence, ...]) -> None:
    archive = ChoosyArchive(tmp_path / "pacs")
    hospital = Hospital(tmp_path / "service", evidence, destination(archive, host="pacs.hospital.invalid"))
    assert hospital.deliver(2) is State.DELIVERING
    waits = dict.fromkeys(("measurements binary", "study binary"), "waits for lobes, to which it refers")
    why = "the host name pacs.hospital.invalid cannot be resolved"
    assert {kind: row["last_error"] for kind, row in hospital.rows.items()} == dict.fromkeys(ALL, why) | waits


def _uid(hospital: Hospital, kind: str) -> str:
    return str(hospital.rows[kind]["sop_instance_uid"])


@contextmanager
def web_archive(status: int, body: bytes, keeps: bool) -> Iterator[tuple[str, list[str]]]:
    """A DICOMweb archive that answers every Store request so; its URL, and the SOP Instance UIDs that it was sent."""
    sent: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"]))
            sent.append(re.search(rb"\x08\x00\x18\x00UI..([0-9.]+)", content, re.DOTALL)[1].decode())  # type: ignore[index]
            self._answer(status, body)

        def do_GET(self) -> None:
            uid = self.path.split("SOPInstanceUID=")[1].split("&")[0]
            found = [{"00080018": {"vr": "UI", "Value": [uid]}}] if keeps and uid in sent else []
            self._answer(200, json.dumps(found).encode())

        def _answer(self, code: int, content: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if code != 204:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", sent
        server.shutdown()


FOREIGN = b'{"00081199": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}'


@pytest.mark.parametrize(
    ("status", "body"), [(200, b""), (200, b"<NativeDicomModel/>"), (200, FOREIGN), (201, b""), (202, b""), (204, b"")]
)
@pytest.mark.parametrize("confirm", ["query", "none"])
def test_a_web_archive_that_answers_unreadably_is_searched_and_sent_nothing_twice(
    tmp_path: Path, evidence: tuple[Evidence, ...], status: int, body: bytes, confirm: Any
) -> None:
    with web_archive(status, body, keeps=True) as (url, sent):
        archive = WebDestination(kind="dicomweb", url=url, confirm=confirm)
        hospital = Hospital(tmp_path / "service", evidence, archive)
        assert hospital.deliver(1) is State.DELIVERED
    assert Counter(sent) == dict.fromkeys(sent, 1)
    assert hospital.states == dict.fromkeys(ALL, "committed")


def test_a_web_archive_that_answers_unreadably_and_has_nothing_ends_by_name(
    tmp_path: Path, evidence: tuple[Evidence, ...]
) -> None:
    with web_archive(204, b"", keeps=False) as (url, sent):
        archive = WebDestination(kind="dicomweb", url=url, confirm="none", answer_within_s=90)
        hospital = Hospital(tmp_path / "service", evidence, archive)
        assert hospital.deliver(60) is State.UNDELIVERED
    assert Counter(sent) == dict.fromkeys(sent, 3)
    assert hospital.states == dict.fromkeys(ALL, "unconfirmed")
