"""The port of a receiver, which one process listens on, or several at once.

It is bound once, and handed down to the processes. Only when the first of them is ready somebody listens: until then,
and while none of them runs, callers are refused, as where nothing runs at all.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pynetdicom.transport import AddressInformation

_BACKLOG = 128
"""Connections that the system keeps before a door takes them."""


@dataclass(frozen=True, slots=True)
class ListeningPort:
    """A port that somebody listens on. shared: other processes take connections from it as well."""

    socket: socket.socket
    shared: bool = False


def bound_port(host: str, port: int) -> socket.socket:
    """The port, for ourselves; OSError, which names the address, if it cannot be had."""
    with _naming(f"{host}:{port}"):
        address = AddressInformation.from_tuple((host, port))
        bound = socket.socket(address.address_family)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address.as_tuple)
        except OSError:
            bound.close()
            raise
    return bound


def inherited_port(descriptor: int) -> socket.socket:
    """The port that the parent process has handed down; OSError if it is none. Our own children do not get it."""
    port = socket.socket(fileno=descriptor)
    port.set_inheritable(False)
    return port


def listen(port: socket.socket) -> None:
    """Callers are let in from now on. OSError, which names the address, if another program listens there."""
    host, number, *_ = port.getsockname()
    with _naming(f"{host}:{number}"):
        port.listen(_BACKLOG)


def refuse(port: socket.socket) -> None:
    """Callers are refused from now on, until somebody listens again.

    Shut down where nobody listens, it would go on to shut every connection that is accepted later.
    """
    if port.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        port.shutdown(socket.SHUT_RDWR)


@contextmanager
def _naming(address: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(f"cannot listen on {address}: {error.strerror or error}") from error
