"""A thread that runs a task at regular intervals. All state is in the database, so it may be killed at any moment."""

import threading
from abc import ABC, abstractmethod


class PeriodicTask(ABC):
    """Looks every `every_s` seconds from `start` to `stop`, the first time after the first wait."""

    def __init__(self, name: str, every_s: float) -> None:
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the look that is under way has ended."""
        self._stop.set()
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Does the thread still look?"""
        return self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._look()

    @abstractmethod
    def _look(self) -> None:
        """One look; what it raises ends the thread."""
