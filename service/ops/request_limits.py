"""Limits of one request: how large its body may be, and how many changes one person may ask for in a minute."""

import time
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.ops.peers import peer_of

MOST_BODY_BYTES = 64 * 1024
"""The longest review, every character of it escaped, takes a third of it."""

READS = ("GET", "HEAD", "OPTIONS")

MOST_PEERS = 4096
"""Addresses that are remembered; beyond it those that asked longest ago are forgotten."""


class LimitBody:
    """Reads a body before the application sees the request, up to the limit; a larger one is answered 413, unread."""

    def __init__(self, app: ASGIApp, most_bytes: int = MOST_BODY_BYTES) -> None:
        self._app = app
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = Headers(scope=scope).get("content-length", "")
        body, more = bytearray(), True
        too_large = declared.isdecimal() and int(declared) > self._most_bytes
        while more and not too_large:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            too_large = len(body) > self._most_bytes
        if too_large:
            detail = f"the body of a request has at most {self._most_bytes} bytes"
            await JSONResponse({"detail": detail}, 413)(scope, receive, send)
            return
        await self._app(scope, _first({"type": "http.request", "body": bytes(body), "more_body": False}, receive), send)


class ChangeLimits:
    """How many changes somebody may ask for in a minute. Those of nobody that is known count apart, by their address:
    whoever cannot log in keeps nobody else from changes."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._of_people, self._of_nobody = TokenBuckets(per_minute, clock), TokenBuckets(per_minute, clock)

    def wait_s(self, person: str | None, address: str) -> float:
        """Count one change; return 0, or the seconds until there may be one. person: None: nobody that is known."""
        return self._of_nobody.take(peer_of(address)) if person is None else self._of_people.take(person)


class TokenBuckets:
    """A bucket for each peer: full at first, filled steadily. clock: in seconds, never set back. For any thread."""

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        self._most, self._per_s = float(per_minute), per_minute / 60
        self._clock = clock
        self._taking = Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, peer: str) -> float:
        """Take one token of a peer; returns 0, or the seconds until there is one."""
        with self._taking:
            return self._take(peer)

    def _take(self, peer: str) -> float:
        now = self._clock()
        tokens, at = self._buckets.pop(peer, (self._most, now))
        tokens = min(self._most, tokens + (now - at) * self._per_s)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / self._per_s
        self._buckets[peer] = (tokens if wait_s else tokens - 1, now)
        if len(self._buckets) > MOST_PEERS:
            self._buckets.popitem(last=False)
        return wait_s


def _first(message: Message, then: Receive) -> Receive:
    """Gives this message, then what comes."""
    waiting = [message]

    async def receive() -> Message:
        return waiting.pop() if waiting else await then()

    return receive
