"""The port of a receiver: opened once, and listened on by one process or by several at once."""

import socket
from dataclasses import dataclass

from pynetdicom.transport import AddressInformation


@dataclass(frozen=True, slots=True)
class ListeningPort:
    """An open port. shared: other processes take connections from it as well."""

    socket: socket.socket
    shared: bool = False


_BACKLOG = 128
"""Connections that the system keeps before a door takes them."""


def open_port(host: str, port: int) -> socket.socket:
    """Listen from now on; OSError, which names the address, if it cannot be used."""
    try:
        address = AddressInformation.from_tuple((host, port))
        listening = socket.socket(address.address_family)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address.as_tuple)
            listening.listen(_BACKLOG)
        except OSError:
            listening.close()
            raise
    except OSError as error:
        raise OSError(error.errno, f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    return listening


def inherited_port(descriptor: int) -> socket.socket:
    """The open port that the parent process has handed down; OSError if it is none. Our own children do not get it."""
    listening = socket.socket(fileno=descriptor)
    listening.set_inheritable(False)
    return listening
