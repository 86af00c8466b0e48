"""The socket of an association that a peer can neither stall nor fill: every PDU has a longest time and a longest size.

pynetdicom waits for each piece of a PDU anew, takes whatever length a peer claims, and goes on to read where nothing
more is of use.
"""

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pynetdicom.association import Association
from pynetdicom.transport import AssociationSocket

from service.network.association_request import ABORT, HEADER

ANNOUNCED = 1 << 20
"""Longest P-DATA-TF PDU that we ask for (PS3.8 annex D.1): a CT slice of 512 x 512 fits."""

LONGEST = 16 * ANNOUNCED
"""Longest that is taken: some peers do not heed what was asked for."""

PDU_WITHIN_S = 60.0
"""From its first byte to its last; over a line of 1 Mbit/s a PDU of the announced size takes 8 s."""

_P_DATA = 0x04
_TYPES = range(0x01, 0x08)
_LONGEST_OTHER = 1 << 16
"""Releases and aborts have four bytes."""

_PIECE = 1 << 18
_DEAF = ("Sta2", "Sta3", "Sta8", "Sta13")
"""States in which it is our turn, or all is said (PS3.8 9.2): what comes then is not read. The door has heard the
request that Sta2 waits for."""


class BoundedSocket(AssociationSocket):
    """Gives pynetdicom first what the door has heard already, and then what comes.

    busy: whether so much waits to be answered that no more is to be read.
    """

    def __init__(
        self, association: Association, connection: socket.socket, heard: bytes, busy: Callable[[], bool]
    ) -> None:
        super().__init__(association, client_socket=connection)
        self._heard = bytearray(heard)
        self._busy = busy
        self._in_pdu = False
        self._until_s = 0.0

    @property
    def ready(self) -> bool:
        """Whether a PDU may be read now."""
        if self._heard:
            return True
        return self.assoc.dul.state_machine.current_state not in _DEAF and not self._busy() and super().ready

    def recv(self, nr_bytes: int) -> bytearray:
        """The next bytes, as many as asked for; fewer where the connection ends.

        pynetdicom asks for a PDU's header, then for its rest. OSError where this is too long, or takes too long: that
        ends the connection.
        """
        if self._heard:
            first, self._heard = self._heard[:nr_bytes], self._heard[nr_bytes:]
            return first
        if self._in_pdu:
            self._in_pdu = False
            return self._received(nr_bytes)
        self._until_s = time.monotonic() + PDU_WITHIN_S
        header = self._received(HEADER)
        if len(header) == HEADER:
            rest = int.from_bytes(header[2:], "big")
            if header[0] not in _TYPES or rest > (LONGEST if header[0] == _P_DATA else _LONGEST_OTHER):
                self.send(ABORT)
                raise OSError(f"a PDU of type {header[0]} and {rest} bytes is not taken")
            self._in_pdu = True
        return header

    def _received(self, count: int) -> bytearray:
        connection: Any = self.socket
        if connection is None:
            raise OSError("the association was ended")
        received = bytearray()
        while len(received) < count:
            left_s = self._until_s - time.monotonic()
            if left_s <= 0.0:
                raise TimeoutError("the PDU takes too long")
            connection.settimeout(min(left_s, self.assoc.network_timeout or left_s))
            got = _read(connection, min(_PIECE, count - len(received)))
            if not got:
                break
            received += got
        connection.settimeout(self.assoc.network_timeout)
        return received

    def _shutdown_socket(self) -> None:
        """At the system first: TLS would be taken off while another thread reads or writes."""
        connection = self.socket
        if connection is not None:
            with suppress(OSError):
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
            with suppress(OSError):
                connection.close()


def _read(connection: socket.socket, most: int) -> bytes:
    """The next bytes. OSError where TLS was taken off meanwhile: `recv` would give what is not deciphered."""
    if not isinstance(connection, ssl.SSLSocket):
        return connection.recv(most)
    try:
        return connection.read(most)
    except ValueError as error:
        raise OSError("the connection was closed") from error
