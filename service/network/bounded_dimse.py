"""The messages of an association (PS3.7), none larger than it may be, none of which ends the thread that reads them."""

import time
from collections.abc import Callable

from pynetdicom.association import Association
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.dimse_messages import C_STORE_RQ, DIMSEMessage
from pynetdicom.pdu_primitives import P_DATA

from service.domain.unparsable import UNPARSABLE
from service.network.received import Received, Room

_COMMAND_BYTES = 1 << 16
"""Most bytes of a command set; those of PS3.7 annex E have less than a thousand."""

_OTHER_BYTES = 1 << 24
"""Most bytes of any dataset but that of a C-STORE request; a commitment report of 10,000 images has 2 MB."""

_PROGRESS = 1 << 20
"""Bytes after which an object is said to go on."""

MESSAGE_WITHIN_S = 3600.0
"""Longest time from the first part of a message to its last; 2 GB over a line of 10 Mbit/s take half of it."""

_INVALID_PDU = "Evt19"
"""What ends an association with an A-ABORT (PS3.8 9.2.2)."""


class BoundedDimse(DIMSEServiceProvider):
    """room: for objects that are too large for the memory. progress: called with each megabyte of an object."""

    def __init__(self, association: Association, room: Room, progress: Callable[[], None]) -> None:
        super().__init__(association)
        self._room = room
        self._progress = progress
        self._until_s = 0.0

    def receive_primitive(self, primitive: P_DATA) -> None:
        """Take the next part of a message. The association is aborted where it makes none."""
        if self.message is None:
            self.message = DIMSEMessage()
            self.message.data_set = Received(self._room)
            self._until_s = time.monotonic() + MESSAGE_WITHIN_S
        valid = self._fits(self.message, primitive)
        if valid:
            try:
                super().receive_primitive(primitive)
            except (*UNPARSABLE, OSError):
                valid = False
        if not valid:
            self.message = None
            self.dul.event_queue.put(_INVALID_PDU)

    def _fits(self, message: DIMSEMessage, primitive: P_DATA) -> bool:
        """Whether the parts are of an accepted context, and the message is neither too large nor too slow with them."""
        parts = primitive.presentation_data_value_list
        if not all(context in self.assoc._accepted_cx and part for context, part in parts):
            return False
        command = sum(len(part) - 1 for _, part in parts if part[0] & 1)
        data = sum(len(part) - 1 for _, part in parts if not part[0] & 1)
        is_stored = not data or isinstance(message, C_STORE_RQ) or command > 0
        received = message.data_set
        assert isinstance(received, Received)
        if (received.size + data) // _PROGRESS > received.size // _PROGRESS:
            self._progress()
        return (
            message.encoded_command_set.tell() + command <= _COMMAND_BYTES
            and (is_stored or received.size + data <= _OTHER_BYTES)
            and time.monotonic() < self._until_s
        )
