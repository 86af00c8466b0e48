"""The API of a real process, and clients that want to starve it or to fill its disk: it answers everybody else."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import psutil
import pytest
from fastapi import FastAPI
from helpers import arrivals
from helpers.databases import open_database
from helpers.dicom_peers import free_port, wait_until

from service.ops import connections
from service.ops.connections import BACKLOG, ConnectionLimits
from service.ops.monitor import Listener
from service.ops.request_limits import MOST_BODY_BYTES
from service.store.records import Records
from service.store.spool import Spool

REQUEST_S = 1.5
MOST, MOST_PER_PEER = 30, 20
PER_MINUTE = 20
NOW = datetime(2026, 3, 2, tzinfo=UTC)


class Api:
    """A process `thoracle serve --role api`."""

    def __init__(self, folder: Path) -> None:
        self.port, self.probes_port = free_port(), free_port()
        self.folder = folder
        limits = {"max_connections": MOST, "max_connections_per_peer": MOST_PER_PEER, "changes_per_minute": PER_MINUTE}
        ports = {"port": self.port, "probes_port": self.probes_port, "request_s": REQUEST_S}
        self.config = folder / "thoracle.yaml"
        self.config.write_text(json.dumps({"data_dir": str(folder / "data"), "api": ports | limits}))
        self.database = folder / "data" / "records.db"

    @contextmanager
    def running(self) -> Iterator["Api"]:
        command = [sys.executable, "-m", "service", "serve", "--config", str(self.config), "--role", "api"]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(command, stderr=log, stdout=log)
            try:
                wait_until(lambda: self.answers("/livez"), 60)
                yield self
            finally:
                self.process.terminate()
                assert self.process.wait(30) == 0, self.log()

    def answers(self, path: str, port: int = 0) -> bool:
        try:
            return self.ask("GET", path, port=port).status in (200, 503)
        except OSError:
            return False

    def ask(self, method: str, path: str, peer: str = "127.0.0.1", port: int = 0, **how: Any) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", port or self.port, timeout=5, source_address=(peer, 0))
        connection.request(method, path, **how)
        answer = connection.getresponse()
        answer.read()
        connection.close()
        return answer

    def opened(self, peer: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 5, (peer, 0))

    def log(self) -> str:
        return (self.folder / "log").read_text()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    made = Api(tmp_path_factory.mktemp("api"))
    with made.running():
        yield made


def head(length: str) -> bytes:
    framing = "transfer-encoding: chunked" if length == "chunked" else f"content-length: {length}"
    names = "host: localhost\r\ncontent-type: application/json"
    return f"POST /api/jobs/a/review HTTP/1.1\r\n{names}\r\n{framing}\r\n\r\n".encode()


def told(client: socket.socket) -> bytes:
    """Everything that comes until the other side closes."""
    parts = []
    try:
        while part := client.recv(65536):
            parts.append(part)
    except ConnectionResetError:
        pass
    return b"".join(parts)


@pytest.mark.parametrize("length", [str(600 * 2**20), "chunked"])
def test_a_huge_body_is_refused_before_it_is_read_and_takes_no_memory(api: Api, length: str) -> None:
    process, most = psutil.Process(api.process.pid), []
    before = process.memory_info().rss
    chunk = b"1" * 2**20
    framed = b"%x\r\n%s\r\n" % (len(chunk), chunk) if length == "chunked" else chunk
    sent = 0
    with api.opened() as client:
        client.sendall(head(length))
        try:
            for _ in range(600):
                client.sendall(framed)
                sent += 1
                most.append(process.memory_info().rss)
        except OSError:
            pass
        answer = told(client) if sent else b""
    assert sent < 600 or b"413" in answer
    assert max([before, *most]) - before < 50 * 2**20
    with api.opened() as client:  # who waits for the answer reads it
        client.sendall(head(length) + framed[: 2 * MOST_BODY_BYTES])
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_a_body_that_is_shorter_or_longer_than_it_says_ends_its_connection_alone(api: Api) -> None:
    said = b'{"verdict": "accepted"}'
    with api.opened() as client:
        client.sendall(head(str(len(said))) + said + b"x" * 100_000)
        assert b"HTTP/1.1 404 " in (answer := told(client)) and b"HTTP/1.1 400 " in answer
    with api.opened() as client:
        client.sendall(head(str(len(said) + 1)) + said)
        assert b"HTTP/1.1 408 " in told(client)
    assert api.answers("/livez")


def test_an_answer_does_not_repeat_the_input(api: Api) -> None:
    fields = {f"{number} {'x' * 1000}": "secret" for number in range(50)}
    connection = HTTPConnection("127.0.0.1", api.port, timeout=5)
    connection.request("POST", "/api/jobs/a/review", json.dumps(fields), {"content-type": "application/json"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert (answer.status, len(text) < 6000, "secret" in text) == (422, True, False)


@pytest.mark.parametrize("begins", [b"", b"GET /livez HT", head("10"), head("chunked") + b"fff\r\nab"])
def test_a_request_that_comes_by_the_byte_is_ended(api: Api, begins: bytes) -> None:
    began_s = time.monotonic()
    with api.opened("127.0.0.5") as client:
        client.sendall(begins)
        stop = threading.Event()

        def trickle() -> None:
            while not stop.wait(0.2):
                try:
                    client.send(b"a" if begins else b"")
                except OSError:
                    return

        thread = threading.Thread(target=trickle)
        thread.start()
        answer = told(client)
        stop.set()
        thread.join()
    assert REQUEST_S - 0.2 < time.monotonic() - began_s < REQUEST_S + 2
    assert begins[:4] != b"POST" or b"408" in answer or answer == b""


def test_a_connection_is_used_again_and_a_slow_second_request_ended(api: Api) -> None:
    connection = HTTPConnection("127.0.0.1", api.port, timeout=5, source_address=("127.0.0.6", 0))
    for _ in range(3):
        connection.request("GET", "/livez")
        answer = connection.getresponse()
        assert (answer.status, answer.read()[:9]) == (200, b'{"status"')
    connection.sock.sendall(b"GET /liv")
    began_s = time.monotonic()
    assert b"408" in told(connection.sock)
    assert time.monotonic() - began_s < REQUEST_S + 2
    connection.close()


def test_slow_connections_have_their_share_and_no_more(api: Api) -> None:
    with ExitStack() as held:

        def hold(peer: str, count: int) -> None:
            for _ in range(count):
                held.enter_context(api.opened(peer)).sendall(b"GET /api/jobs HTTP/1.1\r\n")

        hold("127.0.0.1", MOST_PER_PEER)
        with api.opened() as refused:
            assert told(refused).startswith(b"HTTP/1.1 503 "), "one address has its share"
        assert api.ask("GET", "/livez", peer="127.0.0.2").status == 200, "another address is answered"
        hold("127.0.0.3", MOST - MOST_PER_PEER)
        with api.opened("127.0.0.2") as refused:
            assert told(refused).startswith(b"HTTP/1.1 503 "), "all are taken"
        assert all(api.answers(path, api.probes_port) for path in ("/livez", "/readyz", "/metrics"))
    wait_until(lambda: api.ask("GET", "/livez").status == 200, 5)


def test_a_thousand_slow_connections_starve_neither_the_probes_nor_the_disk(api: Api) -> None:
    before, open_files = len(api.log()), []
    waits_s = []
    with ExitStack() as held:
        for number in range(1100):
            client = held.enter_context(api.opened(f"127.0.0.{10 + number % 5}"))
            with suppress(OSError):
                client.sendall(b"GET /api/jobs HTTP/1.1\r\n")
            if number % 100 == 0:
                began_s = time.monotonic()
                assert api.answers("/readyz", api.probes_port)
                waits_s.append(time.monotonic() - began_s)
                open_files.append(psutil.Process(api.process.pid).num_fds())
    assert max(waits_s) < 2
    assert max(open_files) < MOST + 4 * BACKLOG
    assert len(api.log()) - before < 20_000, "a line that repeats itself is left out"
    wait_until(lambda: api.ask("GET", "/livez").status == 200, 5)


def test_who_changes_too_much_waits_and_who_asks_does_not(api: Api) -> None:
    answers = [api.ask("POST", "/api/jobs/a/retry", peer="127.0.0.7") for _ in range(PER_MINUTE + 3)]
    assert [answer.status for answer in answers] == [404] * PER_MINUTE + [429] * 3
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60 / PER_MINUTE
    forged = {"X-Forwarded-For": "10.0.0.1"}
    assert api.ask("POST", "/api/jobs/a/retry", peer="127.0.0.7", headers=forged).status == 429
    assert api.ask("GET", "/api/jobs", peer="127.0.0.7").status == 200
    assert api.ask("POST", "/api/jobs/a/retry", peer="127.0.0.8").status == 404


def test_changes_of_what_does_not_exist_leave_nothing_and_others_little(api: Api) -> None:
    engine, spool = open_database(api.database), Spool(api.folder / "data")
    arrivals.keep(spool, Records(engine), arrivals.arrival())
    (job_id,) = arrivals.create_due_jobs(Records(engine), NOW, lambda _: 0.0)

    def entries() -> list[Any]:
        connection = HTTPConnection("127.0.0.1", api.port, timeout=5)
        connection.request("GET", "/api/audit?limit=1000")
        found: list[Any] = json.load(connection.getresponse())["entries"]
        connection.close()
        return found

    for number in range(40):
        peer = f"127.0.1.{number // PER_MINUTE + 1}"
        assert api.ask("POST", f"/api/jobs/{number}-x/resend?to={'y' * 32}", peer=peer).status == 404
        assert api.ask("POST", f"/api/models/{number}/rollback", peer=f"127.0.2.{number + 1}").status == 404
    assert entries() == []
    many = "&".join(f"to={'y' * 30}{number:02}" for number in range(20))
    assert api.ask("POST", f"/api/jobs/{job_id}/resend?{many}", peer="127.0.3.1").status == 409
    (entry,) = entries()
    assert (entry["subject"], entry["outcome"]) == (job_id, "refused")
    assert len(json.dumps(entry)) < 2_000
    engine.dispose()


def test_a_client_that_does_not_read_its_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ANSWER_S", 0.5)
    app, port = FastAPI(), free_port()
    app.add_api_route("/long", lambda: "x" * 20_000_000)
    app.add_api_route("/short", lambda: "x")
    with (
        Listener("test", app, "127.0.0.1", port, ConnectionLimits(most=1)),
        socket.create_connection(("127.0.0.1", port), 5) as client,
    ):
        client.sendall(b"GET /long HTTP/1.1\r\nhost: here\r\n\r\n")

        def answered() -> bool:
            other = HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                other.request("GET", "/short")
                return other.getresponse().status == 200
            except OSError:
                return False
            finally:
                other.close()

        assert not answered(), "the only connection is taken"
        wait_until(answered, 10)
        assert len(told(client)) < 20_000_000
