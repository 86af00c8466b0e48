"""The receiver's door, with real sockets: who asks is let in or told why not, who does not ask is dropped."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from helpers.dicom_peers import wait_until
from pynetdicom import AE
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import build_context

from service.network import door
from service.network.association_request import ABORT, LONGEST, AssociationRequest, Refused
from service.network.callers import Asking
from service.network.door import Door, TurnedAway


def request_pdu(calling: str = "CT1", called: str = "THORACLE") -> bytes:
    """An A-ASSOCIATE-RQ as pynetdicom writes it."""
    asked = A_ASSOCIATE()
    asked.application_context_name = "1.2.840.10008.3.1.1.1"
    asked.calling_ae_title, asked.called_ae_title = calling, called
    context = build_context("1.2.840.10008.1.1")
    context.context_id = 1
    asked.presentation_context_definition_list = [context]
    asked.user_information = AE().requested_contexts or []
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(asked)
    return bytes(pdu.encode())


@dataclass
class Opened:
    """A door and what it did."""

    door: Door
    port: int
    admitted: list[AssociationRequest] = field(default_factory=list)
    told: list[str] = field(default_factory=list)

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 5, (source, 0))


class NoFileLeft(socket.socket):
    """A listening socket that cannot accept twice."""

    fails = 2

    def accept(self) -> tuple[socket.socket, Any]:
        if self.fails:
            self.fails -= 1
            raise OSError(24, "Too many open files")
        return super().accept()


@pytest.fixture
def opened() -> Iterator[Opened]:
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening, opening(listening) as found:
        yield found


@contextmanager
def opening(listening: socket.socket, filled: Callable[[], float] | None = None) -> Iterator[Opened]:
    connections: list[socket.socket] = []

    def refused(asking: Asking) -> tuple[Refused, str] | None:
        return None if asking.request.calling_ae == "CT1" else (Refused.CALLING_AE, "not allowed")

    def admit(connection: socket.socket, address: tuple[str, int], asking: Asking) -> None:
        connections.append(connection)
        found.admitted.append(asking.request)

    def told(who: TurnedAway) -> None:
        found.told.append(who.outcome)

    found = Opened(Door(listening, refused, admit, told, filled=filled, ask_within_s=1.0), 0)
    found.port = listening.getsockname()[1]
    found.door.start()
    yield found
    found.door.stop()
    assert not found.door.open
    for one in connections:
        one.close()


def test_who_asks_is_let_in_with_what_it_said(opened: Opened) -> None:
    asked = request_pdu()
    with opened.connect() as connection:
        connection.sendall(asked)
        wait_until(lambda: opened.admitted, 5)
    assert opened.admitted == [AssociationRequest("THORACLE", "CT1", asked)]


def test_a_request_in_single_bytes_is_one_request(opened: Opened) -> None:
    with opened.connect() as connection:
        for byte in request_pdu():
            connection.sendall(bytes([byte]))
        wait_until(lambda: opened.admitted, 5)
    assert opened.told == []


def test_who_may_not_call_is_told_so_and_costs_no_thread(opened: Opened) -> None:
    before = threading.active_count()
    for _ in range(20):
        with opened.connect() as connection:
            connection.sendall(request_pdu(calling="STRANGER"))
            assert connection.recv(100) == bytes([3, 0, 0, 0, 0, 4, 0, 1, 1, 3])
            assert connection.recv(100) == b""
    assert threading.active_count() == before
    wait_until(lambda: opened.told == ["rejected"] * 20, 5)


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        bytes([1, 0, 255, 255, 255, 255]),
        bytes([1, 0]) + (LONGEST + 1).to_bytes(4, "big"),
        bytes([1, 0, 0, 0, 0, 4, 0, 1, 0, 0]),
        bytes([4, 0, 0, 0, 0, 6, 0, 0, 0, 2, 1, 3]),
    ],
)
def test_what_is_no_request_is_aborted(opened: Opened, said: bytes) -> None:
    with opened.connect() as connection:
        connection.sendall(said[:6])
        assert connection.recv(100) == ABORT
    wait_until(lambda: opened.told == ["dropped"], 5)


def without(syntax: str) -> bytes:
    """A request whose presentation context lacks something (PS3.8 9.3.2.2: items 30H and 40H in item 20H)."""
    pdu, kind = bytearray(request_pdu()), {"abstract": 0x30, "transfer": 0x40}[syntax]
    context = pdu.index(bytes([0x20, 0]), 74)
    at, end = context + 8, context + 4 + int.from_bytes(pdu[context + 2 : context + 4], "big")
    while at < end:
        length = 4 + int.from_bytes(pdu[at + 2 : at + 4], "big")
        if pdu[at] == kind:
            del pdu[at : at + length]
            end -= length
        else:
            at += length
    pdu[context + 2 : context + 4] = (end - context - 4).to_bytes(2, "big")
    pdu[2:6] = (len(pdu) - 6).to_bytes(4, "big")
    return bytes(pdu)


@pytest.mark.parametrize(
    "said",
    [
        without("abstract"),
        without("transfer"),
        request_pdu()[:6] + bytes(len(request_pdu()) - 6),
        request_pdu().replace(b"CT1 ", b"CT\xe91"),
    ],
)
def test_a_request_that_cannot_be_negotiated_about_costs_no_thread(opened: Opened, said: bytes) -> None:
    before = threading.active_count()
    with opened.connect() as connection:
        connection.sendall(said)
        assert connection.recv(100) == ABORT
    wait_until(lambda: opened.told == ["dropped"], 5)
    assert threading.active_count() == before


def test_who_does_not_ask_in_time_is_dropped_however_busy_it_looks(opened: Opened) -> None:
    asked = request_pdu()
    with opened.connect() as silent, opened.connect() as slow:
        began = time.monotonic()
        with suppress(OSError):
            for byte in asked[:30]:
                slow.sendall(bytes([byte]))
                time.sleep(0.1)
        assert silent.recv(1) == b""
        assert 0.9 < time.monotonic() - began < 6
    wait_until(lambda: opened.told == ["dropped", "dropped"], 5)
    assert not opened.admitted


def test_of_two_doors_at_one_port_the_idler_one_takes_who_comes() -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=128) as listening,
        opening(listening, filled=lambda: 1.0) as busy,
        opening(listening, filled=lambda: 0.0) as idle,
    ):

        def ask(number: int) -> None:
            with idle.connect() as connection:
                connection.sendall(request_pdu())
                wait_until(lambda: len(busy.admitted) + len(idle.admitted) == number, 5)

        for number in range(1, 9):
            ask(number)
        assert len(idle.admitted) > len(busy.admitted)
        crowd = [busy.connect("127.0.0.2") for _ in range(100)]
        ask(9)
        for one in crowd:
            one.close()


def test_a_crowd_at_the_door_keeps_nobody_out(opened: Opened) -> None:
    """400 silent connections of one address, while another one, and the same one, ask."""
    began = time.process_time()
    crowd = [opened.connect("127.0.0.2") for _ in range(400)]
    for source in ("127.0.0.1", "127.0.0.2"):
        with opened.connect(source) as connection:
            connection.sendall(request_pdu())
            wait_until(lambda: opened.admitted, 1)
        opened.admitted.clear()
    assert time.process_time() - began < 2
    assert opened.told.count("dropped") >= 400 - door.MOST_EACH
    for one in crowd:
        one.close()


def test_of_many_addresses_the_largest_crowd_makes_room(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "MOST", 8)
    with opened.connect("127.0.0.9") as early:
        crowd = [opened.connect(f"127.0.0.{2 + number % 2}") for number in range(30)]
        early.sendall(request_pdu())
        wait_until(lambda: opened.admitted, 1)
    for one in crowd:
        one.close()


def test_without_any_file_left_it_waits_and_goes_on() -> None:
    with NoFileLeft() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with opening(listening) as opened, opened.connect() as connection:
            connection.sendall(request_pdu())
            wait_until(lambda: opened.admitted, 5)
            assert listening.fails == 0
