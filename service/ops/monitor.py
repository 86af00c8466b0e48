"""Serves an application on a thread of its own: the signals stay with the main thread."""

import threading
from typing import Self

import uvicorn
from fastapi import FastAPI

from service.ops.connections import ConnectionLimits, limited_config
from service.tls import FollowedFiles

_LOOK_EVERY_S = 0.05


class Listener:
    """Listens from the beginning of a `with` block to its end; OSError if the address cannot be used.

    Its connections count for this port alone.
    """

    def __init__(
        self,
        name: str,
        app: FastAPI,
        host: str,
        port: int,
        limits: ConnectionLimits = ConnectionLimits(),
        tls: FollowedFiles | None = None,
    ) -> None:
        """tls: None: without."""
        self._name, self._address = name, f"{host}:{port}"
        self._server = uvicorn.Server(limited_config(app, host, port, limits, tls))
        self._thread = threading.Thread(target=self._server.run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        while not self._server.started:
            self._thread.join(_LOOK_EVERY_S)
            if not self.alive:
                raise OSError(f"the {self._name} cannot listen on {self._address}")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Does it still listen?"""
        return self._thread.is_alive()
