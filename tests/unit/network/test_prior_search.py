"""Questions to an archive that is down, slow, or answers what nobody asked for."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

import pytest

from service.network import prior_search
from service.network.prior_search import NotAnswered, PriorSearch
from service.network.web import WebNode

RANGE = (date(2020, 1, 1), date(2024, 1, 1))


@contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[WebNode]:
    """A server that does `answer` with every connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        stop = threading.Event()

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                threading.Thread(target=_answer, args=(answer, connection), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield WebNode("archive", f"http://127.0.0.1:{listening.getsockname()[1]}/dicom-web")
        stop.set()


def _answer(answer: Callable[[socket.socket], None], connection: socket.socket) -> None:
    with connection:
        try:
            connection.recv(65536)
            answer(connection)
        except OSError:
            pass


def silent(_connection: socket.socket) -> None:
    time.sleep(10)


def dripping(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n\r\n[")
    for _ in range(100):
        connection.sendall(b" ")
        time.sleep(0.1)


def dripping_headers(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-A: ")
    for _ in range(100):
        connection.sendall(b"a")
        time.sleep(0.1)


def late_and_stalling(connection: socket.socket) -> None:
    time.sleep(0.8)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: 5\r\n\r\n[")
    time.sleep(10)


def cut_short(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: 500\r\n\r\n[")


def no_gzip(connection: socket.socket) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Encoding: gzip\r\n"
    connection.sendall(head + b"Content-Length: 5\r\n\r\nabcde")


def endless(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\n\r\n[")
    while True:
        connection.sendall(b" " * 65536)


def reply(body: bytes, status: str = "200 OK", kind: str = "application/dicom+json") -> Callable[[socket.socket], None]:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    return lambda connection: connection.sendall(head.encode() + body)


@pytest.mark.parametrize("answer", [silent, dripping, dripping_headers, late_and_stalling])
def test_nobody_waits_longer_than_the_limit(answer: Callable[[socket.socket], None]) -> None:
    with server(answer) as node:
        began = time.monotonic()
        with pytest.raises(NotAnswered, match="archive"):
            PriorSearch(node, 1.0).studies("4711", *RANGE)
        assert time.monotonic() - began < 2.0


def test_the_limit_is_for_all_questions_together() -> None:
    now = iter([0.0, 0.0, 0.0, 61.0, 61.0])
    with server(reply(b"[]")) as node:
        search = PriorSearch(node, 60.0, lambda: next(now))
        assert search.studies("4711", *RANGE) == []
        with pytest.raises(NotAnswered, match="in time"):
            search.series("1.2.3", "SR")


def test_an_answer_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prior_search, "MOST_BYTES", 2**20)
    with server(endless) as node, pytest.raises(NotAnswered, match="more than"):
        PriorSearch(node, 30.0).studies("4711", *RANGE)


@pytest.mark.parametrize(
    "answer",
    [
        reply(b"", "503 Service Unavailable"),
        reply(b"<html>", kind="text/html"),
        cut_short,
        no_gzip,
        reply(b'[{"0020000D": {"vr": "UI", "Value": 3}}]'),
    ],
)
def test_what_is_no_answer_is_said(answer: Callable[[socket.socket], None]) -> None:
    with server(answer) as node, pytest.raises(NotAnswered, match="archive"):
        PriorSearch(node, 10.0).studies("4711", *RANGE)


def test_an_archive_that_is_down_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(NotAnswered, match="connection failed"):
        PriorSearch(WebNode("archive", f"http://127.0.0.1:{port}"), 5.0).studies("4711", *RANGE)


def test_studies_come_with_the_latest_first() -> None:
    body = (
        b'[{"0020000D": {"vr": "UI", "Value": ["1.1"]}, "00080020": {"vr": "DA", "Value": ["20210101"]}},'
        b'{"0020000D": {"vr": "UI", "Value": ["1.2"]}, "00080020": {"vr": "DA", "Value": ["20230101"]}}]'
    )
    with server(reply(body)) as node:
        assert PriorSearch(node, 10.0).studies("4711", *RANGE) == ["1.2", "1.1"]


@pytest.mark.parametrize("patient_id", ["*", "47?1", "4711\\4712"])
def test_an_id_that_is_a_pattern_is_not_asked_for(patient_id: str) -> None:
    assert PriorSearch(WebNode("nobody", "http://127.0.0.1:9"), 5.0).studies(patient_id, *RANGE) == []
