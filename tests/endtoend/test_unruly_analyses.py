"""Analyses that never end, take all memory or fail, in the real service: each ends by name, and the next one begins."""

import time
from pathlib import Path
from typing import Any

from helpers import make_ct
from helpers.dicom_peers import wait_until
from helpers.running_service import AET, RunningService
from pydicom import Dataset
from pydicom.uid import MRImageStorage
from typer.testing import CliRunner

from service.cli import app
from service.network.peer import DicomNode
from service.network.send import Verdict, send

TESTS = Path(__file__).parents[1]


def ct(study: str, kind: str, series: str = "1", **options: Any) -> list[Dataset]:
    attributes = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{series}", "SeriesDescription": kind}
    datasets = make_ct.make(attributes=attributes, **({"slices": 44, "spacing_mm": 5.0} | options)).datasets
    for number, dataset in enumerate(datasets):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{study}.{series}.{number}"
    return datasets


def mr(study: str) -> list[Dataset]:
    datasets = ct(study, "MR", slices=3)
    for dataset in datasets:
        dataset.Modality = "MR"
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = MRImageStorage
    return datasets


class Hospital:
    """Sends studies and sees what becomes of their jobs."""

    def __init__(self, service: RunningService, folder: Path) -> None:
        self._service = service
        self._folder = folder
        self._node = DicomNode("service", AET, "127.0.0.1", service.port, "CT1")

    def send(self, datasets: list[Dataset]) -> None:
        paths = make_ct.write(datasets, self._folder / str(datasets[0].SeriesInstanceUID))
        assert {one.verdict for one in send(self._node, paths)} == {Verdict.STORED}

    def job(self, study: str) -> dict[str, Any]:
        return next((job for job in self._service.jobs() if job["study_uid"] == study), {})

    def wait(self, study: str, state: str, timeout_s: float = 120) -> dict[str, Any]:
        """The study's job once it is in `state`; TimeoutError with the job and the log if it never is."""
        try:
            wait_until(lambda: self.job(study).get("state") == state, timeout_s)
        except TimeoutError:
            raise TimeoutError(f"never {state}: {self.job(study)}; log:\n{self._service.log()}") from None
        return dict(self._service.get(f"/api/jobs/{self.job(study)['job_id']}") or {})


def test_unruly_analyses_end_by_name_and_the_next_study_is_analysed(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": f"{TESTS / 'unruly'}:{TESTS}:{TESTS.parent}"}
    limits = {"time_limit_s": 15, "memory_limit_gb": 1.5}  # an analysis that behaves takes half a gigabyte
    with RunningService(tmp_path, None, environment=environment, analysis=limits, receiver={"quiet_s": 1}) as service:
        hospital = Hospital(service, tmp_path / "sent")
        hospital.send(ct("1.2.1", "LOOP"))
        hospital.wait("1.2.1", "running")
        hospital.send(ct("1.2.2", "LOCK"))
        hospital.wait("1.2.2", "queued")
        hospital.send(ct("1.2.3", "HOG"))
        hospital.wait("1.2.3", "queued")
        hospital.send(ct("1.2.4", "BROKEN", slices=74, spacing_mm=3.0) + ct("1.2.4", "good", series="2"))
        hospital.send(mr("1.2.5"))

        assert hospital.wait("1.2.1", "failed")["error"] == "the analysis ran longer than 15 s"

        cancelled = hospital.wait("1.2.2", "running")["job_id"]
        wait_until(lambda: f"job {cancelled}: lungs" in service.log(), 60)  # from here on it waits for its lock
        began = time.monotonic()
        told = CliRunner().invoke(app, ["jobs", "cancel", cancelled, "--config", str(service.config)])
        assert told.exit_code == 0, told.output
        hospital.wait("1.2.3", "running", 60)
        freed_s = time.monotonic() - began

        assert "the analysis took the worker's memory beyond" in hospital.wait("1.2.3", "failed")["error"]
        good = hospital.wait("1.2.4", "analysed")
        assert good["series_uid"] == "1.2.4.2"
        (reason,) = good["reasons"]
        assert (reason["series_uid"], reason["reason"]) == ("1.2.4.1", "FAILED")
        (reason,) = hospital.wait("1.2.5", "refused")["reasons"]
        assert (reason["reason"], reason["detail"]) == ("NOT_CT", "MR Image Storage, modality MR.")

        assert hospital.job("1.2.2")["state"] == "cancelled"
        metrics = service.metrics()
        for cause in ("time", "memory", "unwanted"):
            assert f'thoracle_stopped_analyses_total{{cause="{cause}"}} 1.0' in metrics
        log = service.log()
        assert log.count("worker ended with code 1, starting it again") == 3
        assert "sitecustomize.py" in log, "it tells where each was"
        assert "Phantom" not in log, "an error may quote the patient"
        assert freed_s < 60, "a new worker has to load its models; the old one is ended after 5 s"
