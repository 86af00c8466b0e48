"""Our side of pynetdicom's server: the door lets connections in, and each association is bounded."""

import socket
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.transport import AddressInformation, AssociationServer

from service.network.bounded_association import BoundedAssociation
from service.network.callers import Asking, Callers
from service.network.dimse import STORAGE_COMMITMENT
from service.network.door import Door, TurnedAway
from service.network.listening_port import ListeningPort
from service.network.received import Room
from service.network.rights import Right
from service.tls import FollowedFiles


class Acceptor:
    """Takes connections from `start` to `stop`."""

    def __init__(
        self,
        ae: AE,
        port: ListeningPort,
        handlers: Sequence[evt.EventHandlerType],
        callers: Callers,
        told: Callable[[TurnedAway], None],
        room: Room,
        tls: FollowedFiles | None = None,
    ) -> None:
        """told, tls: as the door's."""
        made: Any = ae.make_server(port.socket.getsockname(), server_class=_Server, listening=port.socket)
        self._ae = ae
        self._server: _Server = made
        self._handlers = handlers
        self._callers = callers
        self._room = room
        filled = callers.filled if port.shared else None
        self.door = Door(self._server.socket, callers.refused, self._admit, told, tls, filled)

    def start(self) -> None:
        self.door.start()

    @property
    def port(self) -> int:
        """The port listened on."""
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Take no new connections; associations go on."""
        self.door.stop()
        self._server.server_close()

    def _admit(self, connection: socket.socket, address: tuple[str, int], asking: Asking) -> None:
        """Make and start an association, as `pynetdicom.transport.RequestHandler` does."""
        association = BoundedAssociation(self._ae, connection, asking.request.pdu, self._room)
        association.may = self._callers.may(asking)
        association._server = self._server
        association.name = f"AcceptorThread@{address[0]}"
        ours, theirs = association.acceptor, association.requestor
        ours.maximum_length = self._ae.maximum_pdu_size
        ours.ae_title = self._server.ae_title
        ours.address_info = AddressInformation.from_tuple(self._server.server_address)
        ours.implementation_class_uid = self._ae.implementation_class_uid
        ours.implementation_version_name = self._ae.implementation_version_name
        reports = Right.REPORT in association.may
        contexts = [one for one in self._server.contexts if reports or one.abstract_syntax != STORAGE_COMMITMENT]
        ours.supported_contexts = deepcopy(contexts)
        theirs.address_info = AddressInformation.from_tuple(address)
        for event, handler, *arguments in self._handlers:
            association.bind(event, handler, *arguments)
        evt.trigger(association, evt.EVT_CONN_OPEN, {"address": address})
        self._callers.admitted(address[0], association)
        association.start()


class _Server(AssociationServer):
    """Never serves by itself: it holds the socket, and what its associations share."""

    def __init__(self, *arguments: Any, listening: socket.socket, **options: Any) -> None:
        self._listening = listening
        super().__init__(*arguments, **options)

    def server_bind(self) -> None:
        """It is bound already, and so is not the one that was made for it."""
        unused, self.socket = self.socket, self._listening
        if unused is not None:
            unused.close()
        self.server_address = self._listening.getsockname()

    def server_activate(self) -> None:
        """It listens already."""

    def server_close(self) -> None:
        """Closed, and not shut down: other processes may listen."""
        self._listening.close()
