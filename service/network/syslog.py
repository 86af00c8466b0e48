"""Sends to a collector by syslog over TLS (RFC 5425), or over TCP in the same way (RFC 6587 3.4.1).

Syslog answers nothing. So each connection ends in order: only who has read everything closes its side after ours.
"""

import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from service.errors import Transient
from service.tls import TlsFiles, client_context, why_not

_WITHIN_S = 10.0
"""For the connection, for each part that is sent, and for the end."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Where messages go. tls: None: without."""

    host: str
    port: int
    tls: TlsFiles | None = None


def send(collector: Collector, messages: Iterable[bytes]) -> None:
    """Returns when the collector has read all of them; Transient, in words, if that is not sure.

    Permanent if our own files cannot be used.
    """
    context = None if collector.tls is None else client_context(collector.tls)
    try:
        with socket.create_connection((collector.host, collector.port), _WITHIN_S) as plain:
            if context is None:
                _tell(plain, messages)
                plain.shutdown(socket.SHUT_WR)
                _until_closed(plain)
                return
            name = (collector.tls and collector.tls.name) or collector.host
            with context.wrap_socket(plain, server_hostname=name) as connection:
                _tell(connection, messages)
                _say_goodbye(connection)
                _until_closed(connection)
    except ssl.SSLError as error:
        raise Transient(why_not(error)) from error
    except (OSError, ValueError) as error:  # ValueError: no host can be called so
        raise Transient(getattr(error, "strerror", None) or str(error) or type(error).__name__) from error


def _tell(connection: socket.socket, messages: Iterable[bytes]) -> None:
    for message in messages:
        connection.sendall(b"%d %s" % (len(message), message))


def _say_goodbye(connection: ssl.SSLSocket) -> None:
    """Nothing more follows (RFC 5246 7.2.1). What the other side says of it is of no interest: it is to close."""
    connection.setblocking(False)
    with suppress(ssl.SSLWantReadError):
        connection.unwrap()
    connection.settimeout(_WITHIN_S)


def _until_closed(connection: socket.socket) -> None:
    """OSError if the other side lets go before it has read everything."""
    while socket.socket.recv(connection, 4096):
        pass
