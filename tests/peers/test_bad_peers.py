"""A peer that is absent, hangs, resets or talks nonsense is named, and is never taken for the disk."""

import socket
from collections.abc import Callable
from dataclasses import fields, replace
from ipaddress import ip_network
from pathlib import Path

import pytest
from helpers import bad_peers, make_ct
from pydicom.uid import generate_uid
from typer.testing import CliRunner

from service.cli import app
from service.domain.commitment import Reference
from service.network import peer as network_peer
from service.network import web
from service.network.commitment import request
from service.network.find import count_images, find_instances
from service.network.peer import DicomNode, echo
from service.network.send import Verdict, send
from service.network.stow import store
from service.network.web import WebNode
from service.roles.worker import _expected_images
from service.settings import Caller, Receiver, Settings
from service.store.records import SeriesRecord

pytestmark = pytest.mark.peers

NO_HOST = "pacs.hospital.invalid"
NO_NAME = "pacs..invalid"
"""No host can have this name."""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_ct.write(make_ct.make(slices=1).datasets, tmp_path_factory.mktemp("phantom"))[0]


def node(host: str, port: int) -> DicomNode:
    return DicomNode("pacs", "PACS", host, port, "THORACLE")


@pytest.mark.parametrize("host", [NO_HOST, NO_NAME])
def test_a_host_name_that_cannot_be_resolved_is_named_everywhere(image: Path, host: str) -> None:
    why, there = f"the host name {host} cannot be resolved", node(host, 104)
    assert echo(there) == why
    assert [(o.verdict, o.message) for o in send(there, [image])] == [(Verdict.TRANSIENT, why)]
    asked = request(there, generate_uid(), [Reference("1.2", "1.3")])
    assert (asked.accepted, asked.unsupported, asked.message) == (False, False, why)
    assert count_images(there, "1.2", "1.3") is None
    assert find_instances(there, "1.2", ["1.3"]) is None
    archive = WebNode("archive", f"http://{host}/dicom-web")
    assert web.check(archive) == why
    assert [(o.verdict, o.message) for o in store(archive, [image])] == [(Verdict.TRANSIENT, why)]
    assert web.find_instances(archive, "1.2", ["1.3"]) is None


def test_thoracle_send_names_the_host_and_ends(image: Path) -> None:
    result = CliRunner().invoke(app, ["send", str(image), "--to", f"PACS@{NO_HOST}:104"])
    assert result.exit_code == 1
    assert f"the host name {NO_HOST} cannot be resolved" in " ".join(result.output.split())


def test_an_analysis_goes_on_without_the_count_of_a_sender_that_cannot_be_asked(
    caplog: pytest.LogCaptureFixture,
) -> None:
    settings = Settings(
        receiver=Receiver(callers={"CT1": Caller(addresses=(ip_network("127.0.0.1"),), host=NO_HOST, port=104)})
    )
    series = SeriesRecord(**dict.fromkeys((f.name for f in fields(SeriesRecord)), ""))
    expected = _expected_images(settings, "1.2", [replace(series, series_uid="1.3", calling_ae="CT1")])
    assert expected == {}
    assert f"CT1 does not say how many images a series has: the host name {NO_HOST} cannot be resolved" in caplog.text


@pytest.mark.parametrize(
    "answer",
    [bad_peers.resets, bad_peers.hangs_up, bad_peers.talks_http, bad_peers.talks_garbage, bad_peers.says_nothing],
)
def test_a_peer_that_talks_no_dicom_may_come_back(
    image: Path, answer: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network_peer, "CONNECT_S", 0.5)
    monkeypatch.setattr(web, "TIMEOUT_S", (0.5, 0.5))
    monkeypatch.setattr("service.network.stow.TIMEOUT_S", (0.5, 0.5))
    with bad_peers.tcp_peer(answer) as port:
        there = node("127.0.0.1", port)
        assert echo(there)
        (outcome,) = send(there, [image])
        assert (outcome.verdict, outcome.status) == (Verdict.TRANSIENT, None)
        asked = request(there, generate_uid(), [Reference("1.2", "1.3")])
        assert (asked.accepted, asked.unsupported) == (False, False)
        assert count_images(there, "1.2", "1.3") is None
        assert find_instances(there, "1.2", ["1.3"]) is None
        archive = WebNode("archive", f"http://127.0.0.1:{port}")
        assert web.check(archive)
        assert web.find_instances(archive, "1.2", ["1.3"]) is None
        if answer is not bad_peers.talks_http:  # 400 is an answer
            assert [o.verdict for o in store(archive, [image])] == [Verdict.TRANSIENT]
