"""Logs what a stranger can cause as often as it likes: at once, and then as a number."""

import logging
import threading
import time
from collections.abc import Callable

EVERY_S = 60.0


class LogSeldom:
    """May be called by any thread. message: with a %s for each value."""

    def __init__(
        self,
        log: logging.Logger,
        message: str,
        every_s: float = EVERY_S,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._log = log
        self._message = message
        self._every_s = every_s
        self._monotonic_s = monotonic_s
        self._said_s = float("-inf")
        self._since = 0
        self._telling = threading.Lock()

    def __call__(self, *values: str) -> None:
        """Say it, unless something of the kind was said less than a minute ago: then it is counted."""
        with self._telling:
            now = self._monotonic_s()
            if now - self._said_s < self._every_s:
                self._since += 1
                return
            more = f" (and {self._since} others since the last such line)" if self._since else ""
            self._said_s, self._since = now, 0
        self._log.warning(self._message + more, *values)
