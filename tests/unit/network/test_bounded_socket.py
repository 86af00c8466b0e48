"""What comes by TLS is deciphered or an error, whatever another thread does to the connection meanwhile."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from helpers.authority import Authority

from service.network.bounded_socket import _read
from service.tls import TlsFiles, client_context, server_context


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    """Two ends of a connection that have agreed on TLS."""
    hospital, (ours, theirs) = Authority(tmp_path), socket.socketpair()
    server = server_context(TlsFiles(*hospital.issue("us")))
    wrapped: list[ssl.SSLSocket] = []
    agreeing = Thread(target=lambda: wrapped.append(server.wrap_socket(ours, server_side=True)))
    agreeing.start()
    client = client_context(TlsFiles(ca=hospital.certificate)).wrap_socket(theirs, server_hostname="127.0.0.1")
    agreeing.join()
    yield wrapped[0], client
    client.close()
    wrapped[0].close()


def test_nothing_is_read_that_is_not_deciphered(pair: tuple[ssl.SSLSocket, ssl.SSLSocket]) -> None:
    """Python takes TLS off before it shuts a connection, and `recv` reads on."""
    ours, theirs = pair
    theirs.sendall(b"pixels")
    assert _read(ours, 100) == b"pixels"
    theirs.sendall(b"more pixels")
    ours._sslobj = None  # type: ignore[attr-defined]
    with pytest.raises(OSError, match="the connection was closed"):
        _read(ours, 100)
    assert ours.recv(5)[:1] == b"\x17", "what would have been read: a record of TLS"
