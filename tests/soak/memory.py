"""Resident memory of every process of the service while it is under steady load."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

import psutil
from helpers.many_hosts import Host

UNKILLED_FROM = 2 / 3
"""Part of the time after which nothing is killed, so that every process lives for long enough to show a leak."""

MOST_GROWTH = 0.05
MOST_GROWTH_BYTES = 16_000_000
"""What counts as flat: without kills, the median of the second half is no further above that of the first."""

_EVERY_S = 2.0


class Memory:
    """Samples by host, as (part of the time, bytes). A start of a process is not sampled."""

    def __init__(self, hosts: Iterable[Host], part: Callable[[], float]) -> None:
        self._hosts = hosts
        self._part = part
        self._looked_at = 0.0
        self.samples: defaultdict[str, list[tuple[float, int]]] = defaultdict(list)

    def look(self) -> None:
        """Take one sample of each, every two seconds at most."""
        if time.monotonic() - self._looked_at < _EVERY_S:
            return
        self._looked_at = time.monotonic()
        for host in self._hosts:
            if host.alive:
                with suppress(psutil.Error):
                    process = psutil.Process(host.process.pid)
                    size = sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
                    self.samples[host.name].append((self._part(), size))

    def medians(self) -> Mapping[str, tuple[int, int]]:
        """Medians of the first and of the second half of the time without kills, by host."""
        middle = (1 + UNKILLED_FROM) / 2
        halves = {
            name: (
                [size for part, size in samples if UNKILLED_FROM <= part < middle],
                [size for part, size in samples if middle <= part <= 1.0],
            )
            for name, samples in self.samples.items()
        }
        return {
            name: (round(statistics.median(first)), round(statistics.median(second)))
            for name, (first, second) in halves.items()
            if first and second
        }

    def peaks(self) -> Mapping[str, int]:
        return {name: max(size for _, size in samples) for name, samples in self.samples.items()}


def is_flat(first: int, second: int) -> bool:
    """Whether the second median is within the bound of the first."""
    return second <= first + max(first * MOST_GROWTH, MOST_GROWTH_BYTES)
