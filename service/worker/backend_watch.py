"""Repeats the known-answer check of the back end: a server may report that it is ready when it is not.

A worker whose back end is away goes on receiving work: its analyses wait, and no longer than it is away.
"""

import logging
from collections.abc import Callable
from typing import Protocol

from service.errors import ThoracleError
from service.log_once import LogOnce
from service.periodic_task import PeriodicTask
from service.store.liveness import Locks

log = logging.getLogger(__name__)

GROUP = "back end"
"""Of locks: one for each worker whose back end answers rightly."""


class CanaryObserver(Protocol):
    """Counts the outcomes of known-answer checks."""

    def canary(self, ok: bool) -> None: ...


class Checked(Protocol):
    """What is watched."""

    def check(self) -> None:
        """A ThoracleError says, in words, why it cannot be used."""
        ...


class BackendWatch(PeriodicTask):
    """One thread per worker process. why_not: what is wrong with the back end, in words; "": nothing.

    The first look is at once; it may take as long as a server loads its models.
    """

    def __init__(
        self,
        backend: Checked,
        locks: Locks,
        observer: CanaryObserver,
        can_be_used: Callable[[], None],
        every_s: float,
    ) -> None:
        """can_be_used: is called when it can be used for the first time, and when it can again."""
        super().__init__("back end's watch", every_s)
        self.why_not = "not asked yet"
        self._backend = backend
        self._locks = locks
        self._observer = observer
        self._can_be_used = can_be_used
        self._lock: str | None = None
        self._trouble = LogOnce(log, "the back end cannot be used: %s", "the back end can be used again")

    def _run(self) -> None:
        self._look()
        super()._run()

    def _look(self) -> None:
        try:
            self._backend.check()
            self.why_not = ""
        except ThoracleError as error:
            self.why_not = str(error)
        self._observer.canary(not self.why_not)
        self._trouble.tell(self.why_not)
        if not self.why_not and self._lock is None:
            self._lock = self._locks.join(GROUP)
            self._can_be_used()
        elif self.why_not and self._lock is not None:
            self._locks.leave(GROUP, self._lock)
            self._lock = None
