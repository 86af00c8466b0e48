"""Roles that run alone answer probes and metrics of their own, and nothing is counted twice."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers import make_ct
from helpers.dicom_peers import free_port, wait_until
from helpers.many_hosts import Host
from helpers.running_service import AET
from prometheus_client.parser import text_string_to_metric_families
from test_serve import command, fails

from service.network.peer import DicomNode
from service.network.send import send

ROLES = ("receiver", "worker", "api")


class Alone:
    """Receiver, worker and API on one data directory, each started by itself."""

    def __init__(self, folder: Path) -> None:
        self.dicom_port = free_port()
        self.ports = {role: free_port() for role in ROLES}
        self.hosts = [Host(folder / role, role, self._settings(folder, role), {}) for role in ROLES]

    def _settings(self, folder: Path, role: str) -> dict[str, Any]:
        return {
            "data_dir": str(folder / "data"),
            "receiver": {"ae_title": AET, "host": "127.0.0.1", "port": self.dicom_port, "min_free_gb": 0.1},
            "api": {"port": self.ports["api"]},
            "monitoring": {"port": self.ports[role] if role != "api" else free_port()},
        }

    def get(self, role: str, path: str) -> httpx.Response | None:
        try:
            return httpx.get(f"http://127.0.0.1:{self.ports[role]}{path}", timeout=30)
        except httpx.TransportError:
            return None

    def ready(self, role: str) -> bool:
        answer = self.get(role, "/readyz")
        return answer is not None and answer.status_code == 200

    def counted(self, role: str, name: str) -> float:
        answer = self.get(role, "/metrics")
        assert answer is not None
        families = text_string_to_metric_families(answer.text)
        return sum(s.value for family in families for s in family.samples if s.name == name)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    alone = Alone(tmp_path_factory.mktemp("alone"))
    with ExitStack() as stack:
        for host in alone.hosts:
            stack.callback(host.kill)
            host.start()
        for role in ROLES:
            wait_until(lambda role=role: alone.ready(role), 240)
        yield alone


def test_each_role_says_that_it_is_alive_and_what_it_needs(alone: Alone) -> None:
    expected = {
        "receiver": {"receiver", "associations", "database", "disk"},
        "worker": {"threads", "back end", "models", "database"},
        "api": {"database", "receiver", "worker", "back end", "disk"},
    }
    for role, components in expected.items():
        answer = alone.get(role, "/readyz")
        assert answer is not None and answer.json()["components"].keys() == components
        alive = alone.get(role, "/livez")
        assert alive is not None and (alive.status_code, alive.json()["status"]) == (200, "ok")


def test_what_one_process_counts_no_other_counts_too(alone: Alone, tmp_path: Path) -> None:
    files = make_ct.write(make_ct.make(slices=3).datasets, tmp_path)
    send(DicomNode("service", AET, "127.0.0.1", alone.dicom_port, "CT1"), files)
    counts = {role: alone.counted(role, "thoracle_instances_total") for role in ROLES}
    assert counts == {"receiver": 3, "worker": 0, "api": 0}
    gauges = {role: alone.counted(role, "thoracle_spool_free_bytes") for role in ROLES}
    assert gauges["api"] > 0 and gauges["receiver"] == gauges["worker"] == 0


def test_a_second_receiver_on_the_same_monitoring_port_is_told_so(alone: Alone, tmp_path: Path) -> None:
    receiver, taken = {"host": "127.0.0.1", "port": free_port()}, alone.ports["receiver"]
    again = [*command(tmp_path, receiver=receiver, monitoring={"port": taken}), "--role", "receiver"]
    assert f"the monitoring cannot listen on 127.0.0.1:{taken}" in fails(again)


def test_serve_refuses_a_port_that_two_processes_would_want(tmp_path: Path) -> None:
    serve = command(tmp_path, monitoring={"port": free_port()})
    assert "monitoring.port is for processes that run alone" in fails(serve)
