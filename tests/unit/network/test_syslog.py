"""A batch of messages counts only if the collector has all of it: whatever else it does, it gets them again."""

import socket
import ssl
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest
from helpers.authority import Authority

from service.errors import Transient
from service.network.syslog import Collector, send
from service.tls import TlsFiles

BATCH = [b"x" * 1500] * 200
SIZE = len(BATCH) * len(b"1500 " + BATCH[0])


class Listening:
    """A collector on this machine that does what it is told with its one connection."""

    def __init__(self, does: Callable[[socket.socket], None], folder: Path | None = None) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._does, self._context, tls = does, None, None
        if folder is not None:
            authority = Authority(folder)
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(*authority.issue("collector"))
            tls = TlsFiles(ca=authority.certificate)
        self.there = Collector("127.0.0.1", self._listening.getsockname()[1], tls)
        self._thread = Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        connection, _ = self._listening.accept()
        if self._context is not None:
            connection = self._context.wrap_socket(connection, server_side=True)
        self._does(connection)
        self._listening.close()


def read(connection: socket.socket, most: int | None = None) -> int:
    """So many bytes, or all until the other side has ended its part."""
    found = 0
    while (most is None or found < most) and (said := connection.recv(65536)):
        found += len(said)
    return found


def in_order(connection: socket.socket) -> None:
    assert read(connection) == SIZE
    if isinstance(connection, ssl.SSLSocket):
        connection.unwrap()
    connection.close()


def keeps_it_open(connection: socket.socket) -> None:
    """It answers close_notify, and leaves it to us to end the connection."""
    assert isinstance(connection, ssl.SSLSocket)
    read(connection)
    connection.unwrap().recv(1)


def ends_early(connection: socket.socket) -> None:
    read(connection, 1000)
    if isinstance(connection, ssl.SSLSocket):
        with suppress(ssl.SSLError):  # more comes meanwhile
            connection.unwrap()
    connection.close()


def resets(connection: socket.socket) -> None:
    read(connection, 1000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def dies_unread(connection: socket.socket) -> None:
    """Nothing is read: what lies in its buffer is lost with it."""
    connection.close()


@pytest.mark.parametrize("does", [in_order, keeps_it_open])
def test_what_was_read_over_tls_is_sent(does: Callable[[socket.socket], None], tmp_path: Path) -> None:
    send(Listening(does, tmp_path).there, BATCH)


def test_what_was_read_without_tls_is_sent() -> None:
    send(Listening(in_order).there, BATCH)


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("does", [ends_early, resets, dies_unread])
def test_what_was_not_read_is_not(does: Callable[[socket.socket], None], tls: bool, tmp_path: Path) -> None:
    with pytest.raises(Transient):
        send(Listening(does, tmp_path if tls else None).there, BATCH)


def test_nothing_sent_asks_whether_it_is_there(tmp_path: Path) -> None:
    def answers(connection: socket.socket) -> None:
        assert not read(connection) and isinstance(connection, ssl.SSLSocket)
        connection.unwrap().close()

    send(Listening(answers, tmp_path).there, [])
