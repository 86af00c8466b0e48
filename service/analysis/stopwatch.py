"""Seconds by stage, taken from the progress that is reported anyway."""

import time

from service.domain.ports import Progress


class Stopwatch:
    """Passes progress on; a stage lasts from its first report to the first one of the next stage."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage = ""
        self._since = 0.0
        self._seconds: dict[str, float] = {}

    def __call__(self, stage: str, fraction: float) -> None:
        if stage != self._stage:
            self._close()
            self._stage, self._since = stage, time.perf_counter()
        self._progress(stage, fraction)

    @property
    def stage(self) -> str:
        """The stage that was reported last."""
        return self._stage

    def seconds(self) -> dict[str, float]:
        """Wall-clock seconds by stage, up to now."""
        self._close()
        return dict(self._seconds)

    def _close(self) -> None:
        if self._stage:
            elapsed = time.perf_counter() - self._since
            self._seconds[self._stage] = round(self._seconds.get(self._stage, 0.0) + elapsed, 3)
        self._stage = ""
