"""The service with a Triton server that comes late and is killed during an analysis: the CT waits and is sent once."""

import json
import threading
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from helpers import tiny_models
from helpers.dicom_peers import free_port, wait_until
from helpers.running_service import AET, RunningService
from helpers.triton_server import TritonServer

from demo.pacs import StandInPacs
from service.network.peer import DicomNode
from service.network.send import Verdict, dicom_files, send

CT = dicom_files(Path(__file__).parents[2] / "demo" / "ct")


def back_end(service: RunningService) -> str:
    """What `/readyz` says of it, whatever its status; "" while nobody answers."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{service.http_port}/readyz", timeout=5) as answer:
            return str(json.load(answer)["components"]["back end"])
    except urllib.error.HTTPError as error:
        return str(json.load(error)["components"]["back end"])
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return ""


@pytest.mark.peers
@pytest.mark.timeout(900)
def test_a_ct_waits_for_its_back_end(tmp_path: Path) -> None:
    pacs = StandInPacs(tmp_path / "pacs", "PACS", port := free_port())
    repository = tiny_models.repository(tmp_path / "models")
    triton = TritonServer(tmp_path / "triton", repository)
    service = RunningService(
        tmp_path / "service",
        ("PACS", port),
        receiver={"quiet_s": 15},
        inference={
            "backend": "triton",
            "repository": str(repository),
            "check_s": 2,
            "triton": {"url": triton.address.url},
        },
    )
    said = []

    def come_late() -> None:
        said.append(wait_until(lambda: (wrong := back_end(service)) != "ok" and wrong, 240))
        wait_until(lambda: "the back end cannot be used: Triton at" in service.log(), 240)
        triton.start()

    late = threading.Thread(target=come_late)
    late.start()
    with pacs, service:
        late.join()
        with triton.started():
            assert said == ["no worker has one that answers rightly: its log says why"]
            assert "the back end can be used again" in service.log()

            triton.kill_model("lung-opacity", 2)
            wait_until(lambda: "model lung-opacity is loaded anew" in service.log(), 240)
            wait_until(lambda: back_end(service) == "ok", 240)

            triton.pause()
            assert {one.verdict for one in send(DicomNode("service", AET, "127.0.0.1", service.port, "CT1"), CT)} == {
                Verdict.STORED
            }
            wait_until(lambda: ": lungs" in service.log(), 240)
            triton.kill()
            wait_until(lambda: "attempt 1 failed: Triton at" in service.log(), 240)
            assert not pacs.received

            triton.start()
            job = service.wait_for_job("delivered")
            done = service.get(f"/api/jobs/{job['job_id']}") or {}
            assert {d["state"] for d in done["deliveries"]} == {"committed"}
            assert len(pacs.received) == len(set(pacs.received)) == len(done["deliveries"])
            assert "thoracle_backend_up 1.0" in service.metrics()
            assert "thoracle_backend_canary_failures_total" in service.metrics()
