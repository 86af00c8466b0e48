"""A real CT through the image's service, and back into a PACS."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import dcmread

from demo.__main__ import free_ports, get, is_delivered, send, wait
from demo.check import check
from demo.pacs import StandInPacs
from tests.image.engines import Image, Mounts

PROBE = Path(__file__).with_name("probe.py")


def probe(image: Image, folder: Path) -> dict[str, Any]:
    """What the image's user finds and may do inside."""
    container = image.start(mounts(folder), ("python", "-c", PROBE.read_text()), stdout=subprocess.PIPE)
    answer, _ = container.communicate(timeout=120)
    assert container.returncode == 0, f"the probe ended with code {container.returncode}"
    found: dict[str, Any] = json.loads(answer)
    return found


class Served:
    """The image's service with a PACS beside it; `ready_s`: seconds from start to ready."""

    def __init__(
        self, image: Image, container: subprocess.Popen[str], token: str, ports: list[int], pacs: StandInPacs
    ) -> None:
        """token: of a viewer, for the API."""
        self._image, self._container, self._token, self._ports, self._pacs = image, container, token, ports, pacs
        self.api = f"http://127.0.0.1:{ports[2]}"
        self.ready_s = 0.0

    def wait(self, condition: Callable[[], Any], timeout_s: float, otherwise: str) -> None:
        """TimeoutError, or RuntimeError when the container ended."""
        wait(condition, self._container, time.monotonic() + timeout_s, otherwise)

    def round_trip(self, ct: Path, folder: Path) -> dict[str, Path]:
        """Sends the CT and checks what the PACS gets: the results, described; AssertionError if one is missing."""
        send(ct, f"THORACLE@127.0.0.1:{self._ports[0]}")

        def delivered() -> bool:
            jobs = (get(f"{self.api}/api/jobs", self._token) or {"jobs": []})["jobs"]
            return bool(jobs) and is_delivered(get(f"{self.api}/api/jobs/{jobs[0]['job_id']}", self._token) or jobs[0])

        self.wait(delivered, 600, "the results did not come back")
        return check(self._pacs.received, dcmread(next(ct.glob("*.dcm")), stop_before_pixels=True), folder, 1)

    def healthy(self, mounted: Mounts) -> bool:
        """Does the image's own health check say so?"""
        command = self._image.config()["Healthcheck"]["Test"][1:]
        port = f"THORACLE_API__PORT={self._ports[2]}"
        return self._image.start(mounted, ("env", port, *command)).wait(60) == 0

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._image.terminate(self._container)
        return self._container.wait(90)


@contextmanager
def serving(image: Image, folder: Path) -> Iterator[Served]:
    """The service as the image starts it, ready."""
    dicom, pacs_port, http = ports = free_ports(3)
    mounted = mounts(folder, config(dicom, pacs_port, http))
    with StandInPacs(folder / "pacs", "TESTPACS", pacs_port) as pacs, (folder / "service.log").open("wb") as log:
        token = new_token(image, mounted)
        started = time.monotonic()
        container = image.start(mounted, stdout=log, stderr=log)
        served = Served(image, container, token, ports, pacs)
        try:
            served.wait(lambda: get(f"{served.api}/readyz"), 300, "the service did not become ready")
            served.ready_s = time.monotonic() - started
            yield served
        finally:
            if container.poll() is None:
                served.stop()


def new_token(image: Image, mounted: Mounts) -> str:
    """An API token of a viewer, as an operator makes one."""
    command = ("thoracle", "tokens", "add", "smoke", "--role", "viewer")
    making = image.start(mounted, command, stdout=subprocess.PIPE)
    said, _ = making.communicate(timeout=120)
    assert making.returncode == 0, "no token was made"
    return said.splitlines()[0].strip()


def mounts(folder: Path, configuration: dict[str, Any] | None = None) -> Mounts:
    """A data directory that the image's user may write, and thoracle.yaml (JSON is YAML)."""
    data, file = folder / "data", folder / "thoracle.yaml"
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o777)
    if configuration or not file.exists():
        file.write_text(json.dumps(configuration or {}))
    return Mounts(data, file)


_CALLERS = {"callers": {"*": {"addresses": ["127.0.0.1"]}}}


def config(dicom: int, pacs: int, http: int) -> dict[str, Any]:
    return {
        "receiver": {"host": "127.0.0.1", "port": dicom, "quiet_s": 2, "min_free_gb": 0.1} | _CALLERS,
        "destinations": {"pacs": {"ae_title": "TESTPACS", "host": "127.0.0.1", "port": pacs}},
        "api": {"port": http, "login": {"tokens": True}},
    }
