"""The receiver's door: whoever connects waits here, without a thread, until it has asked for an association.

pynetdicom gives every connection two threads that look for bytes a thousand times a second, and a place among the
associations. Those who never ask (a health check, a port scan, an attack) would keep everybody else out. Here one
thread listens to all of them. Who does not ask in time is dropped (PS3.8 9.1.5, ARTIM timer), and where too many wait,
the one that has waited longest, of the address with most of them. TLS is agreed on here as well, and what does not
speak it gets no further.
"""

import errno
import logging
import selectors
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread

from service.domain.unparsable import UNPARSABLE
from service.network.association_request import ABORT, HEADER, AssociationRequest, Refused, length
from service.network.callers import Asking, place_of
from service.tls import FollowedFiles, names_in, why_not

log = logging.getLogger(__name__)

ASK_WITHIN_S = 10.0
"""From the connection to the last byte of the request."""

MOST, MOST_EACH = 256, 32
"""Connections that wait, in all and of one address."""

_AT_ONCE = 32
"""Connections taken before those that wait are heard again."""

_FULL_WAITS_S, _HALF_FULL_WAITS_S, _GUEST_WAITS_S = 0.1, 0.0125, 0.005
"""How long others come first, where other processes take connections as well: the emptiest takes the next. The last is
for each guest."""

_NOTHING_LEFT = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_NO_FILE_LEFT_S = 0.1


@dataclass(eq=False, slots=True)
class _Guest:
    """One who waits. heard: what it has said so far, of `wanted` bytes. since_s: monotonic.

    agreeing: TLS is not agreed on yet.
    """

    connection: socket.socket
    address: tuple[str, int]
    since_s: float
    heard: bytearray = field(default_factory=bytearray)
    wanted: int = HEADER
    agreeing: bool = False

    @property
    def host(self) -> str:
        return self.address[0]


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Somebody who was not let in. outcome: "rejected" or "dropped". calling_ae: "": it said none. why: in words.

    not_believed: it is not who may call, or does not prove it.
    """

    outcome: str
    host: str
    calling_ae: str
    why: str
    not_believed: bool


class Door:
    """Opens with `start`, closes with `stop`.

    refused: called with a request, returns why it is refused, None where it is let in. admit: called with the
    connection, which blocks, and where it comes from. told: called for each that is refused or dropped.
    tls: None: without. filled: part of the places that is taken, where other processes take connections from this
    port as well; None: we take them all.
    """

    def __init__(
        self,
        listening: socket.socket,
        refused: Callable[[Asking], tuple[Refused, str] | None],
        admit: Callable[[socket.socket, tuple[str, int], Asking], None],
        told: Callable[[TurnedAway], None],
        tls: FollowedFiles | None = None,
        filled: Callable[[], float] | None = None,
        ask_within_s: float = ASK_WITHIN_S,
    ) -> None:
        self._listening = listening
        self._refused = refused
        self._admit = admit
        self._told = told
        self._tls = tls
        self._filled = filled
        self._ask_within_s = ask_within_s
        self._guests: dict[_Guest, None] = {}  # in the order in which they came
        self._stopping = False
        self._woken, self._wake = socket.socketpair()
        self._thread = Thread(target=self._run, name="door", daemon=True)

    def start(self) -> None:
        """Listen, in a thread."""
        self._listening.setblocking(False)
        self._thread.start()

    def stop(self) -> None:
        """Let nobody in any more; those who wait are dropped."""
        self._stopping = True
        self._wake.send(b"!")
        self._thread.join()
        self._wake.close()
        self._woken.close()

    @property
    def open(self) -> bool:
        """Whether anybody listens."""
        return self._thread.is_alive()

    @property
    def crowded(self) -> bool:
        """Whether so many wait that some are dropped for others."""
        return len(self._guests) >= MOST

    def _run(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._listening, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while not self._stopping:
                for key, _ in selector.select(self._until_next_s()):
                    if key.fileobj is self._listening:
                        self._take(selector)
                    elif isinstance(key.data, _Guest) and key.data in self._guests:
                        self._hear(selector, key.data)
                self._drop_late(selector)
            for guest in list(self._guests):
                self._leave(selector, guest)
                guest.connection.close()

    def _until_next_s(self) -> float | None:
        """Until the next one is late."""
        first = next(iter(self._guests), None)
        return None if first is None else max(0.0, first.since_s + self._ask_within_s - time.monotonic())

    def _take(self, selector: selectors.BaseSelector) -> None:
        for _ in range(self._how_many_now()):
            try:
                connection, address = self._listening.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno not in _NOTHING_LEFT:  # it has gone already
                    continue
                if self._guests:
                    self._drop(selector, next(iter(self._guests)), error.strerror or type(error).__name__)
                else:
                    time.sleep(_NO_FILE_LEFT_S)
                return
            connection.setblocking(False)
            guest = _Guest(connection, address[:2], time.monotonic())
            if self._tls is not None:
                try:
                    context = self._tls.context
                    guest.connection = context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
                except OSError:  # it has gone already
                    connection.close()
                    continue
                guest.agreeing = True
            self._make_room(selector, guest.host)
            self._guests[guest] = None
            selector.register(guest.connection, selectors.EVENT_READ, guest)

    def _how_many_now(self) -> int:
        """Connections to take at once. Waits a little before, so that an emptier process is quicker.

        Not where many wait to ask: they are to be heard.
        """
        if self._filled is None or len(self._guests) >= _AT_ONCE:
            return _AT_ONCE
        filled = self._filled()
        emptier_s = 2 * _HALF_FULL_WAITS_S * filled + _GUEST_WAITS_S * len(self._guests)
        time.sleep(_FULL_WAITS_S if filled >= 1.0 else min(emptier_s, _FULL_WAITS_S / 2))
        return 1

    def _make_room(self, selector: selectors.BaseSelector, host: str) -> None:
        waiting = Counter(place_of(guest.host) for guest in self._guests)
        own = place_of(host)
        if waiting[own] < MOST_EACH and len(self._guests) < MOST:
            return
        crowd = own if waiting[own] >= MOST_EACH else waiting.most_common(1)[0][0]
        self._drop(selector, next(g for g in self._guests if place_of(g.host) == crowd), "too many wait to ask")

    def _drop_late(self, selector: selectors.BaseSelector) -> None:
        late = time.monotonic() - self._ask_within_s
        for guest in [one for one in self._guests if one.since_s <= late]:
            self._drop(selector, guest, "no association was asked for in time")

    def _hear(self, selector: selectors.BaseSelector, guest: _Guest) -> None:
        """All that it has said by now: what TLS has deciphered already, no selector tells of."""
        try:
            waits_for = self._advance(selector, guest)
        except OSError as error:
            if isinstance(error, ssl.SSLError) and not isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError):
                self._drop(selector, guest, f"no TLS: {why_not(error)}", not_believed=True)
            else:
                self._gone(selector, guest)
        except UNPARSABLE as error:  # of a certificate, for one: it costs this guest only
            self._drop(selector, guest, f"what it showed cannot be read ({type(error).__name__})")
        else:
            if guest in self._guests:
                selector.modify(guest.connection, waits_for, guest)

    def _advance(self, selector: selectors.BaseSelector, guest: _Guest) -> int:
        """What it is to be waited for next: that it can be read, or that it can be written."""
        try:
            if guest.agreeing:
                assert isinstance(guest.connection, ssl.SSLSocket)
                guest.connection.do_handshake()
                guest.agreeing = False
            while guest in self._guests and self._listen(selector, guest):
                pass
        except ssl.SSLWantWriteError:
            return selectors.EVENT_WRITE
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        return selectors.EVENT_READ

    def _listen(self, selector: selectors.BaseSelector, guest: _Guest) -> bool:
        """Take what has come; whether there may be more. OSErrors as the socket's."""
        said = guest.connection.recv(guest.wanted - len(guest.heard))
        if not said:  # a health check does no more
            self._gone(selector, guest)
            return False
        guest.heard += said
        if len(guest.heard) < guest.wanted:
            return True
        try:
            if guest.wanted == HEADER:
                guest.wanted = length(bytes(guest.heard))
                return True
            request = AssociationRequest.of(bytes(guest.heard))
        except ValueError as error:
            self._answer(guest, ABORT)
            self._drop(selector, guest, str(error))
            return False
        self._leave(selector, guest)
        self._ask(guest, request)
        return False

    def _gone(self, selector: selectors.BaseSelector, guest: _Guest) -> None:
        self._leave(selector, guest)
        guest.connection.close()

    def _ask(self, guest: _Guest, request: AssociationRequest) -> None:
        """Let it in, or tell it why not."""
        asking = Asking(guest.host, request, _names(guest.connection))
        refusal = self._refused(asking)
        if refusal is not None:
            why, in_words = refusal
            self._answer(guest, why.pdu)
            guest.connection.close()
            log.warning("association rejected: calling AE %s from %s: %s", request.calling_ae, guest.host, in_words)
            stranger = why is not Refused.LIMIT
            self._told(TurnedAway("rejected", guest.host, request.calling_ae, in_words, stranger))
            return
        guest.connection.setblocking(True)
        try:
            self._admit(guest.connection, guest.address, asking)
        except (OSError, RuntimeError, *UNPARSABLE) as error:  # it has gone, no thread can be started, or a fault
            self._dropped(guest, type(error).__name__)

    def _drop(self, selector: selectors.BaseSelector, guest: _Guest, why: str, not_believed: bool = False) -> None:
        self._leave(selector, guest)
        self._dropped(guest, why, not_believed)

    def _dropped(self, guest: _Guest, why: str, not_believed: bool = False) -> None:
        guest.connection.close()
        log.warning("connection from %s dropped: %s", guest.host, why)
        self._told(TurnedAway("dropped", guest.host, "", why, not_believed))

    def _leave(self, selector: selectors.BaseSelector, guest: _Guest) -> None:
        """Once: what goes wrong after it has left ends it again."""
        if guest in self._guests:
            del self._guests[guest]
            selector.unregister(guest.connection)

    @staticmethod
    def _answer(guest: _Guest, pdu: bytes) -> None:
        """A few bytes: they go at once, or it has gone."""
        with suppress(OSError):
            guest.connection.send(pdu)


def _names(connection: socket.socket) -> frozenset[str]:
    """Reads the names in the certificate that the other side has shown; ValueError if they cannot be read."""
    return names_in(connection.getpeercert()) if isinstance(connection, ssl.SSLSocket) else frozenset()
