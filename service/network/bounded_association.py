"""An association whose threads end with it, and hold a place until they have."""

import socket
import time
from collections.abc import Callable
from threading import Lock

from pynetdicom import AE, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.dimse_messages import N_EVENT_REPORT_RQ
from pynetdicom.dimse_primitives import C_STORE, N_EVENT_REPORT, DimseServiceType

from service.network.bounded_dimse import BoundedDimse
from service.network.bounded_socket import BoundedSocket
from service.network.bounded_states import BoundedStates
from service.network.received import Room
from service.network.rights import EVERYTHING

_AHEAD = 2
"""Messages that wait to be answered before more is read: nobody has to send so many unanswered."""


class BoundedAssociation(Association):
    """useful_s: when it last sent a megabyte, stored or reported something, or was let in; monotonic.

    may: what its caller may do. when_over: told, when it has ended, whether it was released in order.
    """

    def __init__(self, ae: AE, connection: socket.socket, heard: bytes, room: Room) -> None:
        super().__init__(ae, MODE_ACCEPTOR)
        self.useful_s = time.monotonic()
        self.may = EVERYTHING
        self.when_over: Callable[[bool], None] = lambda _released: None
        self._served = 0
        self._ended = False
        self._reports = 0
        self._counting = Lock()
        self.dul.state_machine = BoundedStates(self.dul)
        self.dimse = BoundedDimse(self, room, self._go_on)
        self.set_socket(BoundedSocket(self, connection, heard, self._is_busy))
        self.bind(evt.EVT_DIMSE_RECV, self._count_report)

    @property
    def is_over(self) -> bool:
        """Whether no thread of it is left."""
        return not self.is_alive() and not self.dul.is_alive()

    @property
    def idle_since_s(self) -> float | None:
        """Monotonic; None while something is answered, and once it was told to end."""
        return None if self._served or self._ended else self.useful_s

    def end(self) -> None:
        """Close the connection, whatever it is at; its threads end then."""
        self._ended = True
        self.dul.kill_dul()
        if self.dul.socket is not None:
            self.dul.socket.close()

    def run_reactor(self) -> None:
        """pynetdicom leaves a thread behind where negotiation fails."""
        try:
            super().run_reactor()
        finally:
            self.end()
            self.when_over(self.is_released)

    def _go_on(self) -> None:
        self.useful_s = time.monotonic()

    def _is_busy(self) -> bool:
        return self._reports >= _AHEAD or self.dimse.msg_queue.qsize() >= _AHEAD

    def _count_report(self, event: evt.Event) -> None:
        """EVT_DIMSE_RECV: pynetdicom answers each report in a thread of its own."""
        if isinstance(event.message, N_EVENT_REPORT_RQ):
            with self._counting:
                self._reports += 1

    def _serve_request(self, req: DimseServiceType, context_id: int) -> None:
        with self._counting:
            self._served += 1
        try:
            super()._serve_request(req, context_id)
        finally:
            if isinstance(req, C_STORE | N_EVENT_REPORT):
                self._go_on()
            with self._counting:
                self._served -= 1
                self._reports -= isinstance(req, N_EVENT_REPORT)
