"""Peers that misbehave, each on a port of its own: the network errors that no DICOM peer of good faith shows."""

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def tcp_peer(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a peer that takes connections and does `answer` with each."""
    listening = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=_answered, args=[connection, answer], daemon=True))
            threads[-1].start()

    serving = threading.Thread(target=serve, daemon=True)
    serving.start()
    try:
        yield listening.getsockname()[1]
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        serving.join()


def _answered(connection: socket.socket, answer: Callable[[socket.socket], None]) -> None:
    with connection, suppress(OSError):  # the caller may have gone
        answer(connection)


def resets(connection: socket.socket) -> None:
    """The connection is reset as soon as something came."""
    connection.recv(1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hangs_up(connection: socket.socket) -> None:
    """The connection is closed at once."""


def talks_http(connection: socket.socket) -> None:
    connection.recv(1)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def talks_garbage(connection: socket.socket) -> None:
    """An A-ASSOCIATE-AC whose items make no sense."""
    connection.recv(1)
    connection.sendall(b"\x02\x00" + struct.pack(">I", 80) + b"\xff" * 80)
    connection.recv(1000)


def says_nothing(connection: socket.socket) -> None:
    while connection.recv(10_000):
        pass
