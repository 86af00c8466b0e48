"""Limits of the connections to one port: how many, from whom, and how long a request may take to arrive.

uvicorn limits none of these, and a process that has no file descriptor left answers nobody. The states are those of
h11: a request is whole when the client's side is neither idle nor sending a body.
"""

import asyncio
import logging
import ssl
from collections import Counter
from dataclasses import dataclass
from functools import partial
from typing import Any

import h11
from uvicorn import Config
from uvicorn.protocols.http.h11_impl import H11Protocol

from service.ops.authentication import with_certificate
from service.ops.peers import peer_of
from service.tls import FollowedFiles, names_in, why_not

log = logging.getLogger(__name__)

BACKLOG = 128
"""Connections that the system keeps for us, and that asyncio accepts at once, before it knows from whom they are."""

MOST_HEADER_BYTES = 16 * 1024
KEPT_OPEN_S = 5
"""How long a connection may wait for its next request."""

UNWANTED_BODY_S = 2.0
"""How long a body is read and thrown away after its request was answered: who sends it can read the answer."""

ANSWER_S = 60.0
"""How long a client may take to read an answer, whatever its size."""

_LAST_WORD_S = 2.0
"""How long a closed TLS connection is kept for its peer's goodbye."""

_ANSWER = "HTTP/1.1 {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n{}\r\n{}"


def _refusal(status: str, why: str, header: str = "") -> bytes:
    body = f'{{"detail":"{why}"}}'
    return _ANSWER.format(status, len(body), header, body).encode("ascii")


_BUSY = _refusal("503 Service Unavailable", "too many connections are open; try again", "retry-after: 1\r\n")
_TOO_SLOW = _refusal("408 Request Timeout", "the request did not arrive in time")


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """most: at once. most_per_peer: from one address. request_s: from a connection's beginning, or the answer before,
    to the last byte of a request."""

    most: int = 200
    most_per_peer: int = 50
    request_s: float = 10.0


class _LimitedProtocol(H11Protocol):
    """One connection. peers: open connections of this port by address. tls: None: without.

    TLS is agreed on here, not by uvicorn, whose connections would count only afterwards.
    """

    def __init__(
        self, limits: ConnectionLimits, peers: Counter[str], tls: FollowedFiles | None, **uvicorns: Any
    ) -> None:
        super().__init__(**uvicorns)
        self._limits, self._peers, self._tls = limits, peers, tls
        self._agreeing: asyncio.Task[None] | None = None
        self._early = bytearray()
        self._peer = ""
        self._refused = False
        self._arrival: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        address = transport.get_extra_info("peername")
        self._peer = peer_of(str(address[0])) if isinstance(address, tuple) else ""
        if self._peers[self._peer] >= self._limits.most_per_peer:
            log.warning("%s has too many connections open: one more was refused", self._peer)
            self._refused = True
        elif self._peers.total() >= self._limits.most:
            log.warning("too many connections are open: one more was refused")
            self._refused = True
        if self._refused:
            if self._tls is None:
                transport.write(_BUSY)
            transport.close()
            return
        self._peers[self._peer] += 1
        if self._tls is None:
            self._begin(transport)
        else:
            transport.pause_reading()
            self._agreeing = self.loop.create_task(self._agree(transport, self._tls))

    async def _agree(self, transport: asyncio.Transport, tls: FollowedFiles) -> None:
        """What does not come to an agreement gives its place back, whatever ends it."""
        secured: asyncio.Transport | None = None
        try:
            secured = await self.loop.start_tls(
                transport,
                self,
                tls.context,
                server_side=True,
                ssl_handshake_timeout=self._limits.request_s,
                ssl_shutdown_timeout=_LAST_WORD_S,
            )
        except ssl.SSLError as error:
            log.warning("no TLS with %s: %s", self._peer, why_not(error))
        except OSError:  # it has gone, or took too long
            pass
        except ValueError as error:  # of a certificate that Python cannot read
            log.warning("no TLS with %s: its certificate cannot be read (%s)", self._peer, type(error).__name__)
        finally:
            if secured is None:
                transport.abort()
                self._leave()
        if secured is not None:
            self._agreeing = None
            self._begin(secured)
            if self._early:
                self.data_received(bytes(self._early))

    def _begin(self, transport: asyncio.Transport) -> None:
        # So that we hear of what a client does not read. Not 0: asyncio's TLS would take nothing at all for too much.
        transport.set_write_buffer_limits(high=1)
        names = names_in(transport.get_extra_info("peercert"))
        self.app_state = {**self.app_state, **with_certificate(names)}
        super().connection_made(transport)
        self._expect(self._limits.request_s)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._refused or self._agreeing is not None:
            return
        self._expect(None)
        self._stop_reading_timer()
        self._leave()
        super().connection_lost(exc)

    def _leave(self) -> None:
        self._peers[self._peer] -= 1
        if not self._peers[self._peer]:
            del self._peers[self._peer]

    def data_received(self, data: bytes) -> None:
        if self._agreeing is not None:  # TLS is agreed on, and `_agree` has not heard of it yet
            self._early += data
            return
        before = self.conn.their_state
        super().data_received(data)
        if self._is_whole:
            self._expect(None)
        elif before is h11.SEND_BODY and self.conn.their_state is h11.IDLE:
            self._expect(self._limits.request_s)  # the rest of a body that nobody wanted has come

    def on_response_complete(self) -> None:
        super().on_response_complete()  # which may begin with a request that is here already
        unwanted = self.conn.their_state is h11.SEND_BODY
        self._expect(None if self._is_whole else UNWANTED_BODY_S if unwanted else self._limits.request_s)

    def pause_writing(self) -> None:
        if self._agreeing is not None:
            return
        super().pause_writing()
        if self._reading is None:
            self._reading = self.loop.call_later(ANSWER_S, self.transport.abort)

    def resume_writing(self) -> None:
        if self._agreeing is not None:
            return
        super().resume_writing()
        self._stop_reading_timer()

    @property
    def _is_whole(self) -> bool:
        return self.conn.their_state not in (h11.IDLE, h11.SEND_BODY)

    def _expect(self, seconds: float | None) -> None:
        """The rest of the request, within so many seconds; None: nothing is to come."""
        if self._arrival is not None:
            self._arrival.cancel()
        gone = seconds is None or self.transport.is_closing()
        self._arrival = None if gone else self.loop.call_later(seconds or 0, self._too_slow)

    def _too_slow(self) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE) and self._has_begun:
            log.warning("a request of %s did not arrive in time: its connection was closed", self._peer)
            self.transport.write(_TOO_SLOW)
        self.transport.close()

    @property
    def _has_begun(self) -> bool:
        """Any byte of a request is here."""
        return self.conn.their_state is h11.SEND_BODY or bool(self.conn.trailing_data[0])

    def _stop_reading_timer(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None


def limited_config(
    app: Any, host: str, port: int, limits: ConnectionLimits, tls: FollowedFiles | None = None
) -> Config:
    """Returns uvicorn's configuration of a port with these limits. A peer is who the connection is from: a header that
    says otherwise is not believed. tls: None: without."""
    protocol: Any = partial(_LimitedProtocol, limits, Counter(), tls)
    return Config(
        app,
        host,
        port,
        http=protocol,
        ws="none",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEPT_OPEN_S,
        h11_max_incomplete_event_size=MOST_HEADER_BYTES,
    )
