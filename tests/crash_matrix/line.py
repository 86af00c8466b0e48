"""The network between the service and the PACS: it can be slow, and somebody else can answer."""

import socket
import threading
import time
from contextlib import suppress
from typing import Self

_A_ASSOCIATE_RJ = bytes((0x03, 0, 0, 0, 0, 4, 0, 2, 1, 1))
"""Rejected, transient, by the service user, no reason given (PS3.8 9.3.4)."""


class Line:
    """Passes on to a port of this machine. delay_s: of every piece, either way. rejecting: every association."""

    def __init__(self, behind: int) -> None:
        self.delay_s = 0.0
        self.rejecting = False
        self._behind = behind

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                caller, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        if self.rejecting:
            with caller:
                caller.recv(1 << 16)
                caller.sendall(_A_ASSOCIATE_RJ)
                caller.recv(1 << 16)  # until the caller closes
            return
        try:
            called = socket.create_connection(("127.0.0.1", self._behind))
        except OSError:
            caller.close()
            return
        threading.Thread(target=self._pass_on, args=(called, caller), daemon=True).start()
        self._pass_on(caller, called)

    def _pass_on(self, here: socket.socket, there: socket.socket) -> None:
        """Until either side ends; then neither hears of the other any more."""
        with suppress(OSError):
            here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while piece := here.recv(1 << 14):
                time.sleep(self.delay_s)
                there.sendall(piece)
        for end in (here, there):
            with suppress(OSError):  # the other direction did it
                end.shutdown(socket.SHUT_RDWR)
            end.close()
