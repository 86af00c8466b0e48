"""The life of a model on a running service, which is never restarted: shadow, canary, promotion and back."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from helpers import make_ct, tiny_models
from helpers.dicom_peers import free_port, wait_until
from helpers.running_service import AET, RunningService
from pydicom import dcmread

from demo.pacs import StandInPacs
from service.inference.repository import add, embed
from service.network.peer import DicomNode
from service.network.send import Verdict, send

WHO = "unauthenticated (loopback)"


class Hospital:
    """A service on tiny models, and a modality that sends it one study after the other."""

    def __init__(self, folder: Path, pacs_port: int) -> None:
        self.folder = folder
        self.root = tiny_models.repository(folder / "models")
        ct = folder / "trial"
        make_ct.write(make_ct.make(slices=44, spacing_mm=5.0, study="trial").datasets, ct)
        self.service = RunningService(
            folder / "service",
            ("PACS", pacs_port),
            inference={"repository": str(self.root), "trial_ct": str(ct)},
        )
        self.studies = 0

    def install(self, model: bytes, version: int) -> None:
        add(self.root, embed(model, tiny_models.numbered(tiny_models.LOBES, version)))

    def analysed(self) -> dict[str, Any]:
        """The job of one more study, when its results are delivered."""
        self.studies += 1
        folder = self.folder / f"ct{self.studies}"
        files = make_ct.write(
            make_ct.make(slices=44, spacing_mm=5.0, findings=make_ct.FINDINGS, study=f"s{self.studies}").datasets,
            folder,
        )
        node = DicomNode("service", AET, "127.0.0.1", self.service.port, "CT1")
        assert {o.verdict for o in send(node, files)} == {Verdict.STORED}
        job = self.service.wait_for_job("delivered", self.studies)
        return dict(self.service.get(f"/api/jobs/{job['job_id']}") or {})

    def post(self, path: str) -> tuple[int, dict[str, Any]]:
        request = urllib.request.Request(f"http://127.0.0.1:{self.service.http_port}{path}", method="POST")
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


def version_of(job: dict[str, Any]) -> tuple[str, bool]:
    """Which lobes analysed the job, and whether they were a candidate."""
    (lobes,) = [model for model in job["models"] if model["name"] == "lobes"]
    return lobes["version"], lobes["candidate"]


@pytest.mark.timeout(900)
def test_versions_change_while_studies_come_and_a_broken_one_changes_nothing(tmp_path: Path) -> None:
    with StandInPacs(tmp_path / "pacs", "PACS", port := free_port()) as pacs:
        hospital = Hospital(tmp_path, port)
        with (service := hospital.service):
            pids = [process.pid for process in service.processes("worker")]
            hospital.install(tiny_models.lobes(), 2)
            status, answer = hospital.post("/api/models/lobes/shadow?version=2")
            assert (status, answer["candidate"]["shadow"]) == (200, True), answer
            beside = hospital.analysed()
            assert version_of(beside) == ("1", False), "a shadow shows nothing"

            def compared() -> dict[str, Any] | None:
                found = (service.get("/api/models/lobes/shadow") or {"studies": []})["studies"]
                return found[0] if found and found[0]["state"] != "waiting" else None

            shadow = wait_until(compared, 240)
            assert (shadow["state"], shadow["job_id"], shadow["version"]) == ("compared", beside["job_id"], "2")
            assert shadow["document"]["difference"]["worst_dice"] < 1.0
            results = tmp_path / "service/data/results"
            kept = json.loads((results / f"{beside['job_id']}-shadow-lobes-2/result.json").read_text())
            assert {m["name"]: m["version"] for m in kept["models"]}["lobes"] == "2"
            labels = 'model="lobes",outcome="compared",pipeline="covid-severity",version="2"'
            assert f"thoracle_shadow_studies_total{{{labels}}} 1.0" in service.metrics()

            status, answer = hospital.post("/api/models/lobes/withdraw")
            assert (status, answer["active"], answer["candidate"]) == (200, "1", None), answer
            status, answer = hospital.post("/api/models/lobes/canary?version=2&share=1")
            assert (status, answer["active"], answer["candidate"]["share"]) == (200, "1", 1.0), answer
            by_candidate = hospital.analysed()
            assert version_of(by_candidate) == ("2", True)
            result = json.loads((results / by_candidate["job_id"] / "result.json").read_text())
            assert {m["name"]: m["version"] for m in result["models"]}["lobes"] == "2"
            status, answer = hospital.post("/api/models/lobes/withdraw")
            assert (status, answer["candidate"]) == (200, None), answer
            assert version_of(hospital.analysed()) == ("1", False)

            status, answer = hospital.post("/api/models/lobes/promote?version=2")
            assert (status, answer["active"], answer["previous"]) == (200, "2", "1"), answer
            promoted = hospital.analysed()
            assert version_of(promoted) == ("2", False)

            hospital.install(tiny_models.black_lobes(), 3)
            status, answer = hospital.post("/api/models/lobes/promote?version=3")
            assert status == 409 and "all black" in answer["detail"]
            said = (hospital.root / "serving.json").read_text()
            (hospital.root / "serving.json").write_text(said.replace('"active": "2"', '"active": "9"'))
            assert version_of(hospital.analysed()) == ("2", False), "what cannot be loaded replaces nothing"
            ready = dict(service.get("/readyz") or {})
            assert ready["status"] == "degraded"
            assert ready["components"]["models"].startswith("warning: a worker cannot serve all models")
            (hospital.root / "serving.json").write_text(said)

            status, answer = hospital.post("/api/models/lobes/rollback")
            assert (status, answer["active"]) == (200, "1"), answer
            assert version_of(hospital.analysed()) == ("1", False)
            assert service.get("/readyz")["status"] == "ok"  # type: ignore[index]

            assert [process.pid for process in service.processes("worker")] == pids, "nothing was restarted"
            trail = [e for e in (service.get("/api/audit") or {})["entries"] if e["subject"] == "lobes"]
            assert [(e["who"], e["what"], e["outcome"]) for e in reversed(trail)] == [
                (WHO, "shadow", "done"),
                (WHO, "withdraw", "done"),
                (WHO, "canary", "done"),
                (WHO, "withdraw", "done"),
                (WHO, "promote", "done"),
                (WHO, "promote", "refused"),
                (WHO, "rollback", "done"),
            ]
            counted = service.metrics()
            for version, studies in (("1", 3), ("2", 3)):
                assert f'thoracle_studies_by_model_total{{model="lobes",version="{version}"}} {studies}.0' in counted
            mine = {o["sop_instance_uid"] for job in service.jobs() for o in objects(service, job["job_id"])}
            delivered = {dcmread(path, stop_before_pixels=True).SOPInstanceUID for path in pacs.received}
            assert delivered <= mine and delivered, "of the candidate in the shadow nothing was delivered"


def objects(service: RunningService, job_id: str) -> list[dict[str, Any]]:
    return list((service.get(f"/api/jobs/{job_id}") or {})["objects"])
