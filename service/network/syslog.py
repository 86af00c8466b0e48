"""Sends to a collector by syslog over TLS (RFC 5425), or over TCP in the same way (RFC 6587 3.4.1).

Syslog answers nothing. So each connection ends in order, and counts only if all of it has arrived: a collector that
ends its side early, dies, or leaves something unread resets the connection.
"""

import fcntl
import os
import socket
import ssl
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from service.errors import Transient
from service.tls import TlsFiles, client_context, why_not

_WITHIN_S = 10.0
"""For the connection, and for the collector to read anything more."""

_LOOK_S = 0.01
_ENDS_WITHIN_S = 1.0
"""For the end of the connection, after TLS was ended in order. RFC 5425 4.4 leaves it to either side."""

_SIOCOUTQ = 0x5411
"""Asks Linux how many bytes the other side has not acknowledged."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Where messages go. tls: None: without."""

    host: str
    port: int
    tls: TlsFiles | None = None


def send(collector: Collector, messages: Iterable[bytes]) -> None:
    """Returns when all of them have arrived; Transient, in words, if that is not sure.

    Permanent if our own files cannot be used.
    """
    context = None if collector.tls is None else client_context(collector.tls)
    try:
        with socket.create_connection((collector.host, collector.port), _WITHIN_S) as plain:
            if context is None:
                _tell(plain, messages)
                _end(plain)
                return
            name = (collector.tls and collector.tls.name) or collector.host
            with context.wrap_socket(plain, server_hostname=name, suppress_ragged_eofs=False) as connection:
                _tell(connection, messages)
                _end_tls(connection)
    except ssl.SSLError as error:
        raise Transient(why_not(error)) from error
    except (OSError, ValueError) as error:  # ValueError: no host can be called so
        raise Transient(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error


def _tell(connection: socket.socket, messages: Iterable[bytes]) -> None:
    for message in messages:
        try:
            connection.sendall(b"%d %s" % (len(message), message))
        except ConnectionError:
            connection.settimeout(_LOOK_S)
            connection.recv(1)  # of a refusal by TLS: it says more than that it is over
            raise


def _end_tls(connection: ssl.SSLSocket) -> None:
    """Say that nothing more follows, and hear the same from the other side."""
    connection.setblocking(False)
    _until(connection, lambda: _said_goodbye(connection))
    socket.socket.shutdown(connection, socket.SHUT_WR)
    _until(connection, lambda: _is_silent(connection))
    deadline = time.monotonic() + _ENDS_WITHIN_S
    while time.monotonic() < deadline:
        try:
            if not socket.socket.recv(connection, 4096):
                break
        except BlockingIOError:
            time.sleep(_LOOK_S)
    _check(connection)


def _end(plain: socket.socket) -> None:
    plain.shutdown(socket.SHUT_WR)
    plain.setblocking(False)
    _until(plain, lambda: _is_silent(plain))
    _check(plain)


def _said_goodbye(connection: ssl.SSLSocket) -> bool:
    """Whether our close_notify is on its way; the answer to it is heard afterwards."""
    try:
        connection.unwrap()
    except ssl.SSLWantReadError:
        return True
    except ssl.SSLWantWriteError:
        return False
    return True


def _is_silent(connection: socket.socket) -> bool:
    """Whether the other side has ended its part. What it said before is of no interest."""
    try:
        return not connection.recv(4096)
    except ssl.SSLZeroReturnError:  # it answers close_notify
        return True
    except (BlockingIOError, ssl.SSLWantReadError):
        return False


def _until(connection: socket.socket, done: Callable[[], bool]) -> None:
    """TimeoutError if the other side neither does it nor reads anything for a while."""
    left, since = _unread(connection), time.monotonic()
    while not done():
        now_left = _unread(connection)
        if now_left != left:
            left, since = now_left, time.monotonic()
        if time.monotonic() - since > _WITHIN_S:
            raise TimeoutError("the collector does not read, or does not end the connection")
        time.sleep(_LOOK_S)


def _check(connection: socket.socket) -> None:
    """OSError if anything was not received, though the other side has ended its part."""
    deadline = time.monotonic() + _WITHIN_S
    while True:
        if wrong := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(wrong, os.strerror(wrong))
        if not _unread(connection):
            return
        if time.monotonic() > deadline:
            raise TimeoutError("the collector has ended the connection before it had read everything")
        time.sleep(_LOOK_S)


def _unread(connection: socket.socket) -> int:
    """Bytes that have not arrived."""
    return int(struct.unpack("i", fcntl.ioctl(connection.fileno(), _SIOCOUTQ, bytes(4)))[0])
