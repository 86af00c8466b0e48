"""The trial release, run on this machine: commands, configuration and environment as the chart renders them.

Processes stand for pods: they have addresses, ports and folders of their own, which the environment says. All else is
the chart's, down to the bundled S3 server's options.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers import make_ct
from helpers.dicom_peers import free_port, wait_until
from helpers.helm_chart import CHART, ROOT, Manifest, component, of_kind, pods, render
from helpers.postgresql import PostgreSQL
from helpers.s3_server import weed
from kubelet import environment

from service.network.peer import DicomNode
from service.network.send import Verdict, send

pytestmark = pytest.mark.peers

SECRETS = {"database-password": "letters0and0digits", "s3-password": "digits0and0letters"}


class Release:
    """The containers of the trial values, by component."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._folder, self._database_url = folder, database_url
        manifests = render(CHART / "ci" / "trial-values.yaml")
        self.pods = {component(pod): pod["spec"] for _, pod in pods(manifests)}
        (config,) = (one for one in of_kind(manifests, "ConfigMap") if "thoracle.yaml" in one["data"])
        self._config = folder / "thoracle.yaml"
        self._config.write_text(config["data"]["thoracle.yaml"])
        self.ports = {name: free_port() for name in ("dicom", "http", "probes", "s3")}
        self._addresses = {
            "THORACLE_BUCKET__ENDPOINT": f"http://127.0.0.1:{self.ports['s3']}",
            "THORACLE_RECEIVER__PORT": str(self.ports["dicom"]),
            "THORACLE_RECEIVER__CALLERS": '{"*": {"addresses": ["127.0.0.1"]}}',  # no sender of the ranges is here
            "THORACLE_API__PORT": str(self.ports["http"]),
            "THORACLE_API__PROBES_PORT": str(self.ports["probes"]),
        }
        self.metrics = {role: free_port() for role in ("receiver", "worker", "api")}

    def container(self, name: str) -> Manifest:
        (container,) = self.pods[name]["containers"]
        return dict(container)

    def start(self, name: str) -> subprocess.Popen[bytes]:
        """A container of the service."""
        container = self.container(name)
        arguments = [str(self._config) if "/etc/" in word else word for word in container["args"]]
        own = {"THORACLE_DATABASE_URL": self._database_url}
        if name in self.metrics:
            own |= {"THORACLE_INFERENCE__REPOSITORY": str(ROOT / "triton_repo")}  # the image's, which has a link
            own |= self._addresses | {"THORACLE_MONITORING__PORT": str(self.metrics[name])}
            own["THORACLE_DATA_DIR"] = str(self._folder / name)
        return self._run([sys.executable, "-m", "service", *arguments], name, own)

    def start_s3(self) -> subprocess.Popen[bytes]:
        container = self.container("s3")
        data = self._folder / "s3"
        data.mkdir()
        arguments = [f"-dir={data}" if word.startswith("-dir=") else word for word in container["args"]]
        arguments = [f"-s3.port={self.ports['s3']}" if word.startswith("-s3.port=") else word for word in arguments]
        inner = [f"{part}.port.grpc" for part in ("master", "volume", "filer", "s3")]
        inner += [f"{part}.port" for part in ("master", "volume", "filer")]
        self._s3_ports = {option: free_port() for option in inner}
        arguments += [f"-{option}={port}" for option, port in self._s3_ports.items()]
        assert container["command"] == ["weed"]
        return self._run([weed(), *arguments], "s3", {})

    def remove_sockets(self) -> None:
        """Of the S3 server, which leaves them."""
        for port in (self.ports["s3"], *self._s3_ports.values()):
            for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):
                socket.unlink()

    def _run(self, command: list[str], name: str, over: Mapping[str, str]) -> subprocess.Popen[bytes]:
        variables = os.environ | environment(self.container(name), SECRETS) | over
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=variables)

    def log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text()

    def passes(self, name: str, probe: Mapping[str, Any]) -> bool:
        port = (self.ports | {"metrics": self.metrics[name]})[probe["httpGet"]["port"]]
        try:
            return httpx.get(f"http://127.0.0.1:{port}{probe['httpGet']['path']}", timeout=30).status_code == 200
        except httpx.TransportError:
            return False


@pytest.fixture(scope="module")
def release(postgresql: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Release:
    return Release(tmp_path_factory.mktemp("release"), postgresql.create())


@pytest.fixture(scope="module")
def running(release: Release) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    with ExitStack() as stack:
        processes = {"s3": release.start_s3()}
        stack.callback(release.remove_sockets)
        stack.callback(_kill, processes["s3"])
        migration = release.start("migrate")
        assert migration.wait(120) == 0, release.log("migrate")
        for role in ("receiver", "worker", "api"):
            processes[role] = release.start(role)
            stack.callback(_kill, processes[role])
        yield processes


def test_every_probe_passes_once_the_release_runs(release: Release, running: Mapping[str, Any]) -> None:
    for role in ("receiver", "worker", "api"):
        container = release.container(role)
        for kind in ("startupProbe", "livenessProbe", "readinessProbe"):
            try:
                wait_until(lambda role=role, probe=container[kind]: release.passes(role, probe), 240)
            except TimeoutError:
                pytest.fail(f"the {kind} of {role} does not pass:\n{release.log(role)}")
    assert "brought to schema" in release.log("migrate")


def test_a_ct_image_reaches_the_bundled_bucket(release: Release, running: Mapping[str, Any], tmp_path: Path) -> None:
    wait_until(lambda: release.passes("receiver", release.container("receiver")["readinessProbe"]), 240)
    files = make_ct.write(make_ct.make(slices=1).datasets, tmp_path)
    node = DicomNode("release", "THORACLE", "127.0.0.1", release.ports["dicom"], "CT1")

    def stored() -> bool:  # the S3 server may still be starting
        (outcome,) = send(node, files)
        return outcome.verdict is Verdict.STORED

    wait_until(stored, 120)


def test_pods_end_within_their_grace_period(release: Release, running: Mapping[str, subprocess.Popen[bytes]]) -> None:
    for role in ("receiver", "worker", "api"):
        wait_until(lambda role=role: release.passes(role, release.container(role)["readinessProbe"]), 240)
        running[role].send_signal(signal.SIGTERM)
        assert running[role].wait(release.pods[role]["terminationGracePeriodSeconds"]) == 0, release.log(role)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
