"""The port of the receivers of a host, bound by whichever process starts them."""

import socket

from service.errors import Permanent
from service.network.listening_port import bound_port
from service.settings import Settings


def receiver_port(settings: Settings) -> socket.socket:
    """The port, for ourselves: OSError if it cannot be had, Permanent if anybody could call and nobody said who may."""
    ours = settings.receiver
    if ours.open_to_others:
        raise Permanent(ours.open_to_others)
    return bound_port(ours.host, ours.port)
