"""Studies of one patient, sent one by one to the whole service: each is compared with the latest earlier one."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from helpers import make_ct, tiny_models
from helpers.dicom_peers import free_port, wait_until
from helpers.running_service import AET, RunningService
from pydicom import Dataset, dcmread

from demo.pacs import StandInPacs
from service.network.peer import DicomNode
from service.network.send import Verdict, send

SECRET = "SECRET-4711"
"""Patient ID, which must not get into logs, metrics or the database."""


@dataclass
class Hospital:
    """A service with its PACS. jobs: ids by the day of the CT."""

    service: RunningService
    pacs: StandInPacs
    folder: Path
    jobs: dict[str, str] = field(default_factory=dict)

    def visit(self, day: str, **attributes: Any) -> str:
        """Send a CT of that day and wait until its result is delivered; the id of its job."""
        dates = {"StudyDate": day, "SeriesDate": day, "AcquisitionDate": day, "ContentDate": day, "PatientID": SECRET}
        name = f"{day}-{len(self.jobs)}"
        datasets = make_ct.make(
            slices=70,
            spacing_mm=3.0,
            noise_hu=20.0,
            study=name,
            findings=make_ct.FINDINGS,
            attributes=dates | attributes,
        ).datasets
        node = DicomNode("service", AET, "127.0.0.1", self.service.port, "CT1")
        files = make_ct.write(datasets, self.folder / name)
        assert {outcome.verdict for outcome in send(node, files)} == {Verdict.STORED}
        job = self.service.wait_for_job("delivered", len(self.jobs) + 1)
        self.jobs[name] = job["job_id"]
        return str(job["job_id"])

    def document(self, job_id: str) -> dict[str, Any]:
        path = self.folder / "service/data/results" / job_id / "result.json"
        return dict(json.loads(path.read_text()))

    def study_of(self, job_id: str) -> str:
        return str((self.service.get(f"/api/jobs/{job_id}") or {})["study_uid"])

    def summary(self, job_id: str) -> Dataset:
        """The study SR of a job in the PACS."""
        study = self.study_of(job_id)
        held = [dcmread(path) for path in self.pacs.received if path.parent.name == study]
        return next(one for one in held if one.Modality == "SR" and "AI summary" in one.SeriesDescription)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder, port = tmp_path_factory.mktemp("compared"), free_port()
    root = tiny_models.repository(folder / "models")
    tiny_models.serve(root, tiny_models.lobes(), tiny_models.LOBES)
    with StandInPacs(folder / "pacs", "PACS", port) as pacs:
        service = RunningService(
            folder / "service", ("PACS", port), inference={"repository": str(root), "check_s": 3600}
        )
        with service:
            yield Hospital(service, pacs, folder)


def test_each_ct_is_compared_with_the_latest_earlier_one(hospital: Hospital) -> None:
    first = hospital.visit("20240501")
    assert "comparison" not in hospital.document(first)

    second = hospital.visit("20250501")
    found = hospital.document(second)["comparison"]
    assert (found["study_uid"], found["days"]) == (hospital.study_of(first), 365)
    assert {one["measurement"] for one in found["numbers"]} >= {"volume_ml", "opacity_percent"}
    assert all(one["change"] is not None for one in found["numbers"])
    (other,) = hospital.summary(second).PertinentOtherEvidenceSequence
    assert other.StudyInstanceUID == hospital.study_of(first)

    older = hospital.visit("20230501")
    assert "comparison" not in hospital.document(older), "never with a later one"

    third = hospital.visit("20260501")
    assert hospital.document(third)["comparison"]["study_uid"] == hospital.study_of(second)

    stranger = hospital.visit("20270501", PatientBirthDate="19700101", PatientAge="057Y")
    document = hospital.document(stranger)
    assert document["flags"].count("PRIOR_CONTRADICTS") == 1 and "comparison" not in document

    other_issuer = hospital.visit("20270601", IssuerOfPatientID="Elsewhere")
    assert "comparison" not in hospital.document(other_issuer)
    assert not {one for one in hospital.document(other_issuer)["flags"] if one.startswith("PRIOR")}

    again = hospital.visit("20270701")
    assert hospital.document(again)["flags"].count("PRIOR_CONTRADICTS") == 1, "the ID is in doubt until somebody looks"

    wait_until(lambda: "compare" in hospital.service.metrics(), 20)
    assert 'stage="compare"' in hospital.service.metrics()
    counted = 'thoracle_comparisons_total{outcome="%s",pipeline="covid-severity"} %.1f'
    for outcome, count in (("none", 3), ("compared", 2), ("prior_contradicts", 2)):
        assert counted % (outcome, count) in hospital.service.metrics(), outcome
    for told in (hospital.service.log(), hospital.service.metrics(), json.dumps(hospital.service.jobs())):
        assert SECRET not in told
    assert "patient" not in json.dumps([hospital.service.jobs(), hospital.service.get(f"/api/jobs/{second}")])
    database = hospital.folder / "service/data/records.db"
    for path in (database, database.with_name("records.db-wal")):
        assert not path.exists() or SECRET.encode() not in path.read_bytes()
