"""Several destinations of both kinds, a study that comes late, and what the archives hold in the end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dicomweb_client import DICOMwebClient
from helpers import tiny_models
from helpers.dicom_peers import Orthanc, free_port, wait_until
from helpers.make_ct import write
from helpers.running_service import AET, RunningService
from pydicom import Dataset

from service.network.peer import DicomNode
from service.network.send import Verdict, send
from tests.soak.modality import images_of, phantom

FIRST = 20


def is_notice(dataset: Dataset) -> bool:
    return str(dataset.SeriesDescription).startswith("AI not analysed")


class Hospital:
    """A PACS that commits, an archive by DICOMweb, and what they hold."""

    def __init__(self, pacs: Orthanc, archive: Orthanc, service: RunningService) -> None:
        self.pacs, self.archive, self.service = pacs, archive, service
        self.jobs: list[dict[str, Any]] = []

    def send(self, files: list[Path]) -> None:
        node = DicomNode("service", AET, "127.0.0.1", self.service.port, "CT1")
        assert {o.verdict for o in send(node, files)} == {Verdict.STORED}

    def job(self, number: int) -> dict[str, Any]:
        """A job, first one first, with all that is told of it."""
        return dict(self.service.get(f"/api/jobs/{self.service.jobs()[-number]['job_id']}") or {})

    def settled(self, number: int) -> dict[str, Any] | None:
        """The job, when everything has been confirmed at every destination."""
        job = self.job(number) if len(self.service.jobs()) == number else {}
        states = {d["state"] for d in job.get("deliveries", [])}
        return job if states == {"committed"} else None


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """Of a CT 20 slices came, and were not enough; then the others came."""
    folder, port = tmp_path_factory.mktemp("hospital"), free_port()
    us = {"AET": AET, "Host": "127.0.0.1", "Port": port, "AllowStorageCommitment": True}
    with (
        Orthanc(folder / "pacs", DicomModalities={"ai": us}) as pacs,
        Orthanc(folder / "archive") as archive,
        RunningService(
            folder / "service",
            None,
            inference={"repository": str(tiny_models.repository(folder / "models"))},
            receiver={"port": port, "callers": {"CT1": {"addresses": ["127.0.0.1"], "urgency": "stat"}}},
            destinations={
                "pacs": {"ae_title": Orthanc.AET, "host": "127.0.0.1", "port": pacs.port, "notice": True},
                "archive": {
                    "kind": "dicomweb",
                    "url": f"{archive.url}/dicom-web",
                    "notice": True,
                    "send": ["seg", "sr", "capture", "rtstruct"],
                    "seg": "labelmap",
                    "retry_delays_s": [1],
                },
                "elsewhere": {"ae_title": "X", "host": "127.0.0.1", "port": 9, "when": [{"body_part": ["HEAD"]}]},
            },
        ) as service,
    ):
        hospital, files = Hospital(pacs, archive, service), write(images_of("1.2.3", phantom()), folder / "ct")
        hospital.send(files[:FIRST])
        wait_until(lambda: hospital.settled(1), 120)
        hospital.send(files[FIRST:])
        wait_until(lambda: hospital.settled(2), 280)
        yield hospital


def held(orthanc: Orthanc) -> list[Dataset]:
    client = DICOMwebClient(f"{orthanc.url}/dicom-web")
    return [
        client.retrieve_instance_metadata(*(one[tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")))
        for one in client.search_for_instances()
    ]


def objects(orthanc: Orthanc) -> list[Dataset]:
    return [Dataset.from_json(metadata) for metadata in held(orthanc)]


def test_the_radiologist_is_told_why_nothing_was_analysed(hospital: Hospital) -> None:
    first = hospital.job(1)
    assert (first["state"], {r["reason"] for r in first["reasons"]}) == ("refused", {"TOO_FEW", "SHORT_COVERAGE"})
    for orthanc in (hospital.pacs, hospital.archive):
        notices = [o for o in objects(orthanc) if is_notice(o)]
        assert sorted(o.Modality for o in notices) == ["DOC", "SR"]


def test_each_destination_holds_what_it_wants_and_nothing_twice(hospital: Hospital) -> None:
    def kinds(orthanc: Orthanc) -> list[str]:
        return sorted(o.Modality for o in objects(orthanc) if not is_notice(o))

    assert kinds(hospital.pacs) == ["DOC", "SEG", "SEG", "SR", "SR"]
    assert kinds(hospital.archive) == ["OT", "RTSTRUCT", "SEG", "SEG", "SR", "SR"]
    types = {o.SegmentationType for o in objects(hospital.archive) if o.Modality == "SEG"}
    assert types == {"LABELMAP"}
    for orthanc in (hospital.pacs, hospital.archive):
        uids = [o.SOPInstanceUID for o in objects(orthanc)]
        assert len(uids) == len(set(uids))


def test_the_result_names_what_it_replaces(hospital: Hospital) -> None:
    held = objects(hospital.pacs)
    (notice,) = (o for o in held if o.Modality == "SR" and is_notice(o))
    for document in (o for o in held if o.Modality == "SR" and not is_notice(o)):
        referred = str(document.PredecessorDocumentsSequence)
        assert notice.SOPInstanceUID in referred
    assert hospital.job(2)["supersedes"] == hospital.job(1)["job_id"]


def test_the_current_result_is_told_by_its_number_and_refers_to_all_that_is_there(hospital: Hospital) -> None:
    for orthanc in (hospital.pacs, hospital.archive):
        held = objects(orthanc)
        assert {o.SeriesNumber // 100 for o in held if is_notice(o)} == {90}
        assert {o.SeriesNumber // 100 for o in held if not is_notice(o)} == {91}
        assert all(f" v{1 if is_notice(o) else 2} " in o.SeriesDescription for o in held)
        (root,) = [o for o in held if str(o.SeriesDescription).startswith("AI summary")]
        others = {o.SOPInstanceUID for o in held if not is_notice(o)} - {root.SOPInstanceUID}
        referred = {
            i.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for i in root.ContentSequence[-1].ContentSequence
        }
        assert referred == others


def test_delivered_means_that_the_peer_answered_for_it(hospital: Hospital) -> None:
    job = hospital.job(2)
    assert (job["state"], job["urgency"]) == ("delivered", "stat")
    assert {d["destination"] for d in job["deliveries"]} == {"pacs", "archive"}
    assert all(d["stored_at"] and d["committed_at"] for d in job["deliveries"])
    steps = [(step["step"], step["detail"]) for step in job["journal"]]
    assert ("ask for commitment", "pacs") in steps
    assert ("ask for commitment", "archive") not in steps, "it is searched by QIDO-RS"
    assert steps[0] == ("receive", "first image of a series, modality CT, from CT1")
    assert steps[-1] == ("complete", "")
