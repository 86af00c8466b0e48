"""A service that has analysed, refused and delivered, and a real Prometheus with our rules that watches it."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml
from helpers import make_ct, tiny_models
from helpers.authority import Authority
from helpers.dicom_peers import free_port, wait_until
from helpers.programs import program
from helpers.running_service import AET, RunningService
from pydicom import Dataset
from pydicom.uid import generate_uid

from demo.pacs import StandInPacs
from service.network.peer import DicomNode
from service.network.send import Verdict, send
from service.tls import TlsFiles

RULES = Path(__file__).parents[2] / "docker" / "prometheus" / "alerts.yaml"

_SMALL: dict[str, Any] = {"spacing_mm": 5.0, "rows": 48, "columns": 64, "pixel_mm": (6.0, 6.0)}


@contextmanager
def watched_service(folder: Path) -> Iterator[RunningService]:
    """One study was analysed, reviewed and delivered to the PACS, another was refused."""
    port = free_port()
    models = {"repository": str(tiny_models.repository(folder / "models")), "threads": 1}
    hospital = Authority(folder / "authority")
    certificate, key = hospital.issue("thoracle")
    tls = {"certificate": str(certificate), "key": str(key)}
    away = {"collector": {"host": "127.0.0.1", "port": free_port()}}
    service = RunningService(folder / "service", ("PACS", port), inference=models, receiver={"tls": tls}, audit=away)
    with StandInPacs(folder / "pacs", "PACS", port), service:
        _send(service, make_ct.make(slices=41, findings=make_ct.FINDINGS, **_SMALL).datasets, folder / "good", hospital)
        job = service.wait_for_job("delivered", timeout_s=300)
        review = f"http://127.0.0.1:{service.http_port}/api/jobs/{job['job_id']}/review"
        said = {"verdict": "overridden", "score": 4}
        httpx.post(review, json=said).raise_for_status()
        _send(service, make_ct.make(slices=3, **_SMALL).datasets, folder / "short", hospital)
        service.wait_for_job("refused", 2, timeout_s=300)
        yield service


def _send(service: RunningService, images: list[Dataset], folder: Path, hospital: Authority) -> None:
    study, series = generate_uid(), generate_uid()
    for image in images:
        image.StudyInstanceUID, image.SeriesInstanceUID, image.SOPInstanceUID = study, series, generate_uid()
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    node = DicomNode("service", AET, "127.0.0.1", service.port, "CT1", TlsFiles(ca=hospital.certificate))
    assert {o.verdict for o in send(node, make_ct.write(images, folder))} == {Verdict.STORED}


class Prometheus:
    """Used in a `with` block: it has scraped, and its rules were evaluated, when the block begins."""

    def __init__(self, folder: Path, target_port: int) -> None:
        folder.mkdir()
        self._folder, self._port = folder, free_port()
        rules = yaml.safe_load(RULES.read_text())
        for group in rules["groups"]:
            group.pop("interval", None)  # a test does not wait for minutes
        (folder / "rules.yml").write_text(yaml.safe_dump(rules))
        configuration = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["rules.yml"],
            "scrape_configs": [
                {"job_name": "thoracle", "static_configs": [{"targets": [f"127.0.0.1:{target_port}"]}]},
            ],
        }
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))

    def __enter__(self) -> "Prometheus":
        command = [
            program("prometheus"),
            f"--config.file={self._folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self._port}",
            "--log.level=error",
        ]
        self._process = subprocess.Popen(command, cwd=self._folder)
        wait_until(self._ready, 120)
        # A share is undefined until a counter has two samples.
        wait_until(lambda: self.query("count_over_time(thoracle_database_up[1h]) > 5"), 120)
        wait_until(lambda: self.query("thoracle:override_share:30d"), 120)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The samples; an error of the query is raised in Prometheus' own words."""
        answer = httpx.get(f"{self._url}/query", params={"query": expr}, timeout=60).json()
        assert answer["status"] == "success", f"{expr}: {answer.get('error')}"
        return list(answer["data"]["result"])

    def rules(self) -> list[dict[str, Any]]:
        """All rules, as they were last evaluated."""
        groups = httpx.get(f"{self._url}/rules", timeout=60).json()["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def _ready(self) -> bool:
        assert self._process.poll() is None, "Prometheus did not start"
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/-/ready", timeout=10).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self._port}/api/v1"
