"""Circuit breaker: after repeated failures no call is made for a while; then one trial decides whether it closes."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from service.errors import Transient

T = TypeVar("T")


class Cancelled(Transient):
    """The caller ended it, which says nothing about the other side."""


class Breaker:
    """Open, all calls fail at once; closed, they go through. It begins open, and the first call makes the trial.

    trial: raises Transient, in words, where the other side is not to be used. Every method may be called from any
    thread.
    """

    def __init__(
        self,
        trial: Callable[[], None],
        failures: int = 3,
        pause_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """failures: in a row, which open it. pause_s: from a failed trial to the next that a call makes."""
        self._trial = trial
        self._failures = failures
        self._pause_s = pause_s
        self._clock = clock
        self._trying = threading.Lock()
        self._counting = threading.Lock()
        self._failed = 0
        self._closed = False
        self._why = ""
        self._until = clock()

    def call(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises; Transient, with the reason, while it is open."""
        if not self._closed:
            self._enter()
        try:
            answer = work()
        except Cancelled:
            raise
        except Transient as error:
            self._count(error)
            raise
        self._failed = 0
        return answer

    def test(self) -> None:
        """Make the trial now, whatever the state; what it raises opens."""
        with self._trying:
            self._try()

    def _enter(self) -> None:
        """One caller makes the trial; the others wait for its outcome."""
        with self._trying:
            if self._closed:
                return
            if (wait_s := self._until - self._clock()) > 0:
                raise Transient(f"{self._why} (asked again in {wait_s:.0f} s)")
            self._try()

    def _try(self) -> None:
        try:
            self._trial()
        except Transient as error:
            self._open(error)
            raise
        self._failed = 0
        self._closed = True

    def _count(self, error: Transient) -> None:
        with self._counting:
            self._failed += 1
            if self._failed >= self._failures:
                self._open(error)

    def _open(self, error: Transient) -> None:
        self._why = str(error)
        self._until = self._clock() + self._pause_s
        self._closed = False
