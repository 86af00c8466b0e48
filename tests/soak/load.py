"""Steady load: as many studies as the workers get done, for some time."""

import time
from collections.abc import Iterable, Iterator

MOST_WAITING = 12
"""Studies that are received and not delivered, before the next one is sent; most of them wait to be complete."""


class Load:
    """waiting: studies that are received and not delivered; whoever counts them sets it."""

    def __init__(self, lasts_s: float) -> None:
        self._began = time.monotonic()
        self._lasts_s = lasts_s
        self.waiting = 0

    @property
    def part(self) -> float:
        """Part of the time that has gone by; more than 1 afterwards."""
        return (time.monotonic() - self._began) / self._lasts_s if self._lasts_s else 0.0

    def steady(self, studies: Iterable[str]) -> Iterator[str]:
        """Yield one after the other, none while too many wait and none after the time."""
        for study in studies:
            while self.part < 1.0 and self.waiting >= MOST_WAITING:
                time.sleep(0.2)
            if self.part >= 1.0:
                return
            yield study
