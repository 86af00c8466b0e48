"""Ends the connections of an HTTP session at a time, whatever they wait for.

The timeouts of requests are for each piece of an answer: a server that drips its headers renews them without end.
"""

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event, Timer
from typing import Any

import requests


@contextmanager
def ended_after(http: requests.Session, seconds: float) -> Iterator[Event]:
    """For the time of the block: whatever the session still does after `seconds` ends with a failed connection, or,
    where an answer was cut in its headers, with an empty one: the event that it yields is set then."""
    opened: list[socket.socket] = []
    over = Event()

    def end() -> None:
        over.set()
        for one in list(opened):
            _shut(one)

    for adapter in http.adapters.values():
        manager: Any = adapter.poolmanager  # type: ignore[attr-defined]
        classes = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {scheme: _noting(pool, opened, over) for scheme, pool in classes.items()}
    timer = Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield over
    finally:
        timer.cancel()
        for one in opened:
            one.close()


def _noting(pool: Any, opened: list[socket.socket], over: Event) -> Any:
    """The class of connection pools, whose connections are noted in `opened`, and ended at once when it is over."""

    class Connection(pool.ConnectionCls):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            made: socket.socket = super()._new_conn()
            opened.append(made.dup())  # TLS takes the socket itself away
            if over.is_set():
                _shut(made)
            return made

    return type("Pool", (pool,), {"ConnectionCls": Connection})


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
