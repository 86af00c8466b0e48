"""A pipeline that the service does not know, beside the built-in one: everything works for both, each on its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from helpers import make_ct, tiny_models, toy_pipeline
from helpers.dicom_peers import free_port, wait_until
from helpers.running_service import AET, RunningService
from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, SegmentationStorage

from demo.pacs import StandInPacs
from service.domain.serving import shadow
from service.inference.repository import add, change, embed
from service.network.peer import DicomNode
from service.network.send import Verdict, send

BUILT_IN, ADDED = "covid-severity", toy_pipeline.NAME
BOTH = {BUILT_IN, ADDED}
BLOCKS = {BUILT_IN: range(9000, 10000), ADDED: range(99000, 100000)}

NOISE_HU = 50.0
BELOW_950_PERCENT = 2.2
"""The part of lung at -850 HU that this noise puts below -950 HU: 2.01 standard deviations, as HU are integers."""

WHEN = [
    {"name": BUILT_IN, "when": [{"description": ["*chest*"]}]},
    {"name": ADDED, "when": [{"kernel": ["B4*"], "age": [40, 120]}]},
]


def phantom(study: str, **options: Any) -> list[Dataset]:
    """70 slices of 3 mm unless told otherwise, every one of study `study`."""
    return make_ct.make(**{"slices": 70, "spacing_mm": 3.0, "noise_hu": NOISE_HU, "study": study} | options).datasets


def models(folder: Path) -> Path:
    """A repository of networks that answer within milliseconds."""
    root = tiny_models.repository(folder)
    tiny_models.serve(root, tiny_models.lobes(), tiny_models.LOBES)
    return root


@dataclass
class Hospital:
    """A service with both pipelines, its PACS and a modality. sent: Study Instance UIDs by name."""

    service: RunningService
    pacs: StandInPacs
    models: Path
    folder: Path
    sent: dict[str, str] = field(default_factory=dict)

    def send(self, name: str, datasets: Sequence[Dataset]) -> None:
        files = make_ct.write(datasets, self.folder / f"{name}-{len(list(self.folder.iterdir()))}")
        node = DicomNode("service", AET, "127.0.0.1", self.service.port, "CT1")
        assert {outcome.verdict for outcome in send(node, files)} == {Verdict.STORED}
        self.sent[name] = str(datasets[0].StudyInstanceUID)

    def jobs(self, name: str) -> list[dict[str, Any]]:
        """Jobs of a study, as the API lists them."""
        return [job for job in self.service.jobs() if job["study_uid"] == self.sent[name]]

    def ended(self, name: str, *states: str) -> list[dict[str, Any]]:
        """Jobs of a study, once as many are there as states and each is in one of these."""

        def all_ended() -> list[dict[str, Any]] | None:
            jobs = self.jobs(name)
            failed = [job for job in jobs if job["state"] in ("failed", "undelivered")]
            assert not failed, f"{failed}; log:\n{self.service.log()}"
            return jobs if sorted(job["state"] for job in jobs) == sorted(states) else None

        try:
            return list(wait_until(all_ended, 240))
        except TimeoutError:
            raise TimeoutError(f"{name}: {self.jobs(name)}; log:\n{self.service.log()}") from None

    def result(self, job: Mapping[str, Any]) -> dict[str, Any]:
        path = self.folder.parent / "service/data/results" / job["job_id"] / "result.json"
        return dict(json.loads(path.read_text()))

    def objects(self, job: Mapping[str, Any]) -> set[str]:
        """SOP Instance UIDs of a job's results."""
        found = self.service.get(f"/api/jobs/{job['job_id']}") or {}
        return {one["sop_instance_uid"] for one in found["objects"]}

    def held(self, name: str) -> list[Dataset]:
        """Objects of a study in the PACS, in the order in which they came."""
        files = [path for path in self.pacs.received if path.parent.name == self.sent[name]]
        return [dcmread(path, stop_before_pixels=True) for path in files]

    def command(self, *arguments: str) -> str:
        """Output of `thoracle`, whose exit code is 0."""
        return thoracle(*arguments, "--config", str(self.service.config))


def thoracle(*arguments: str) -> str:
    environment = {**os.environ, **toy_pipeline.environment(), "COLUMNS": "200"}
    ended = subprocess.run(
        [sys.executable, "-m", "service", *arguments], capture_output=True, text=True, env=environment, timeout=240
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def by_pipeline(jobs: Sequence[Mapping[str, Any]], number: int = 1) -> dict[str, Mapping[str, Any]]:
    """Jobs of one number."""
    found = {job["pipeline"]: job for job in jobs if job["number"] == number}
    assert len(found) == len([job for job in jobs if job["number"] == number])
    return found


def block(dataset: Dataset) -> str:
    """Pipeline of an object, by its Series Number."""
    return next(name for name, numbers in BLOCKS.items() if dataset.SeriesNumber in numbers)


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    """The service after five studies: see `send_all`."""
    folder = tmp_path_factory.mktemp("added")
    (folder / "ct").mkdir()
    root, port = models(folder / "models"), free_port()
    destination = {"ae_title": "PACS", "host": "127.0.0.1", "port": port, "notice": True, "retry_delays_s": [1]}
    with StandInPacs(folder / "pacs", "PACS", port) as pacs:
        service = RunningService(
            folder / "service",
            None,
            environment=toy_pipeline.environment(),
            pipelines=WHEN,
            destinations={"pacs": destination},
            inference={"repository": str(root), "check_s": 3600},
        )
        with service:
            found = Hospital(service, pacs, root, folder / "ct")
            send_all(found)
            yield found


def send_all(hospital: Hospital) -> None:
    """Five studies: for both pipelines (with a late slice), for one, for none, and too thick for the added one."""
    every = phantom("both")
    hospital.send("both", every[:-1])
    hospital.send("one", phantom("one", attributes={"ConvolutionKernel": "I70f"}))
    other = {"StudyDescription": "Knee", "SeriesDescription": "Knee", "ConvolutionKernel": "H30s"}
    hospital.send("none", phantom("none", attributes=other))
    hospital.send("thick", phantom("thick", slices=55, spacing_mm=4.0))
    hospital.ended("both", "delivered", "delivered")
    hospital.ended("one", "delivered")
    hospital.ended("none", "refused")
    hospital.ended("thick", "delivered", "refused")
    candidate = add(hospital.models, embed(tiny_models.lobes(), tiny_models.numbered(tiny_models.LOBES, 3)))
    change(hospital.models, "lobes", shadow(candidate.version))
    hospital.send("both", every[-1:])
    hospital.ended("both", *["delivered"] * 4)


def test_a_study_that_two_pipelines_take_has_a_job_and_results_of_each(hospital: Hospital) -> None:
    jobs = by_pipeline(hospital.jobs("both"))
    assert jobs.keys() == BOTH
    results = {name: hospital.result(job) for name, job in jobs.items()}
    assert {name: result["pipeline"] for name, result in results.items()} == {name: name for name in BOTH}
    assert results[ADDED]["headline"]["value"] == pytest.approx(BELOW_950_PERCENT, abs=0.15)
    assert results[ADDED]["measurements"]["LUNGS"]["emphysema_percent"] == pytest.approx(BELOW_950_PERCENT, abs=0.15)
    assert results[ADDED]["measurements"]["LUNGS"]["volume_ml"] == pytest.approx(1751 + 1445, rel=0.03)
    assert (results[BUILT_IN]["headline"]["max"], results[ADDED]["headline"]["max"]) == (25, None)
    lungs = [results[BUILT_IN]["measurements"]["LUNG_TOTAL"], results[ADDED]["measurements"]["LUNGS"]]
    assert lungs[0]["volume_ml"] == lungs[1]["volume_ml"], "both measure the same lungs"


def test_objects_of_both_are_in_the_pacs_under_series_numbers_and_uids_of_their_own(hospital: Hospital) -> None:
    held = hospital.held("both")
    for name in BOTH:
        own = {one.SOPClassUID for one in held if block(one) == name}
        assert own >= {SegmentationStorage, Comprehensive3DSRStorage, EncapsulatedPDFStorage}, name
    assert len({one.SOPInstanceUID for one in held}) == len(held), "nothing was sent twice"
    series: dict[str, set[int]] = {}
    for one in held:
        series.setdefault(one.SeriesInstanceUID, set()).add(int(one.SeriesNumber))
    assert all(len(numbers) == 1 for numbers in series.values())
    emphysema = [one for one in held if one.SOPClassUID == SegmentationStorage and block(one) == ADDED]
    meanings = {s.SegmentedPropertyTypeCodeSequence[0].CodeMeaning for o in emphysema for s in o.SegmentSequence}
    assert "Pulmonary emphysema" in meanings and len(meanings) > 1
    described = {block(one): one.SeriesDescription for one in held if one.SOPClassUID == EncapsulatedPDFStorage}
    assert all(name in described[name] for name in BOTH), described


def test_a_late_slice_supersedes_within_each_pipeline(hospital: Hospital) -> None:
    jobs = hospital.jobs("both")
    first, second = by_pipeline(jobs), by_pipeline(jobs, number=2)
    assert first.keys() == second.keys() == BOTH
    for name in BOTH:
        assert (first[name]["supersedes"], second[name]["supersedes"]) == (None, first[name]["job_id"])
        replaced = predecessors(hospital, hospital.objects(second[name]))
        assert replaced and replaced <= hospital.objects(first[name]), f"{name} replaces results of its own"


def predecessors(hospital: Hospital, uids: set[str]) -> set[str]:
    """SOP Instance UIDs that the SRs among these objects replace (PS3.3 C.17.2)."""
    return {
        item.ReferencedSOPInstanceUID
        for one in hospital.held("both")
        if one.SOPInstanceUID in uids
        for study in one.get("PredecessorDocumentsSequence", ())
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }


def test_a_study_that_one_pipeline_takes_has_one_job(hospital: Hospital) -> None:
    (job,) = hospital.jobs("one")
    assert job["pipeline"] == BUILT_IN
    assert {block(one) for one in hospital.held("one")} == {BUILT_IN}


def test_a_study_that_no_pipeline_takes_is_refused_by_name_and_nothing_is_sent(hospital: Hospital) -> None:
    (job,) = hospital.jobs("none")
    assert job["pipeline"] == ""
    found = hospital.service.get(f"/api/jobs/{job['job_id']}")
    assert {reason["reason"] for reason in found["reasons"]} == {"NO_PIPELINE"}
    assert (found["objects"], hospital.held("none")) == ([], [])
    assert {reason["reason"] for reason in hospital.result(job)["reasons"]} == {"NO_PIPELINE"}


def test_a_limit_of_one_pipeline_refuses_nothing_of_the_other(hospital: Hospital) -> None:
    jobs = by_pipeline(hospital.jobs("thick"))
    assert {name: job["state"] for name, job in jobs.items()} == {BUILT_IN: "delivered", ADDED: "refused"}
    assert "THICK_SLICES" in hospital.result(jobs[BUILT_IN])["flags"]
    refused = hospital.service.get(f"/api/jobs/{jobs[ADDED]['job_id']}")
    (why,) = refused["reasons"]
    assert why["reason"] == "TOO_THICK" and "at most 3.0 mm" in why["detail"]
    notice = [one for one in hospital.held("thick") if block(one) == ADDED]
    assert sorted(one.Modality for one in notice) == ["DOC", "SR"]
    assert [ADDED in str(one) for one in notice if one.Modality == "SR"] == [True], "it tells whose notice it is"
    assert {one["kind"] for one in refused["objects"]} == {"notice", "notice-page-dicom"}


def test_a_candidate_in_the_shadow_is_compared_for_both(hospital: Hospital) -> None:
    jobs = {job["job_id"]: name for name, job in by_pipeline(hospital.jobs("both"), number=2).items()}

    def compared() -> list[dict[str, Any]] | None:
        studies = (hospital.service.get("/api/models/lobes/shadow") or {"studies": []})["studies"]
        ended = [one for one in studies if one["state"] != "waiting"]
        return ended if len(ended) == 2 else None

    studies = wait_until(compared, 240)
    assert {jobs[one["job_id"]]: one["state"] for one in studies} == dict.fromkeys(BOTH, "compared")
    assert [one["document"]["difference"]["worst_dice"] for one in studies] == [1.0, 1.0], "the networks are equal"


def test_the_metrics_tell_the_pipeline(hospital: Hospital) -> None:
    lines = hospital.service.metrics().splitlines()
    values = {line.rpartition(" ")[0] for line in lines if line.startswith("thoracle_result_value_count")}
    for name, measure in ((BUILT_IN, "severity_score"), (BUILT_IN, "opacity_percent"), (ADDED, "emphysema_percent")):
        assert [one for one in values if f'measure="{measure}"' in one and f'pipeline="{name}"' in one], measure
    assert {line for line in lines if line.startswith("thoracle_studies_total")} == {
        f'thoracle_studies_total{{outcome="analysed",pipeline="{BUILT_IN}"}} 4.0',
        f'thoracle_studies_total{{outcome="analysed",pipeline="{ADDED}"}} 2.0',
        f'thoracle_studies_total{{outcome="refused",pipeline="{ADDED}"}} 1.0',
        'thoracle_studies_total{outcome="refused",pipeline="none"} 1.0',
    }


def test_the_command_line_tells_the_pipeline(hospital: Hospital) -> None:
    listed = hospital.command("jobs", "list", "--study", hospital.sent["both"])
    assert (listed.count(BUILT_IN), listed.count(ADDED)) == (2, 2)
    installed = hospital.command("pipelines")
    assert f"runs      {ADDED} 1.0" in installed and "studies: those of 1 rules" in installed


def test_several_pipelines_of_one_command_write_a_folder_each(hospital: Hospital, tmp_path: Path) -> None:
    make_ct.write(phantom("command line"), tmp_path / "ct")
    chosen = ("--pipeline", BUILT_IN, "--pipeline", ADDED)
    told = hospital.command("analyse", str(tmp_path / "ct"), "-o", str(tmp_path / "out"), *chosen)
    assert "Emphysema index (LAA-950)" in told and "CT severity score" in told
    assert {path.name for path in (tmp_path / "out").iterdir()} == BOTH
    for name, segmentation in ((BUILT_IN, "lobes"), (ADDED, "emphysema")):
        files = {path.name for path in (tmp_path / "out" / name).iterdir()}
        assert files >= {f"{segmentation}.seg.dcm", "measurements.sr.dcm", "study.sr.dcm", "report.pdf", "result.json"}
        assert json.loads((tmp_path / "out" / name / "result.json").read_text())["pipeline"] == name
