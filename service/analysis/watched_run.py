"""A watched analysis: its next progress report or call of the back end raises Stopped if it must end."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import ClassVar

from service.domain.backend_wrapper import BackendWrapper
from service.domain.ports import Array, Backend, Progress
from service.errors import ThoracleError


class Stopped(ThoracleError):
    """The analysis was ended before its end. cause: as metrics count it; grace_s: until its process is ended."""

    cause: ClassVar[str]
    grace_s: ClassVar[float]


class OverTime(Stopped):
    cause = "time"
    grace_s = 10.0


class OverMemory(Stopped):
    cause = "memory"
    grace_s = 1.0


class Unwanted(Stopped):
    """The job was cancelled, or a newer one of the study superseded it."""

    cause = "unwanted"
    grace_s = 60.0  # nothing is harmed meanwhile, and a routine event must not end a process that only is slow


class Run:
    """One analysis that is being watched. Every method may be called from any thread."""

    def __init__(
        self,
        job_id: str,
        backend: Backend,
        wanted: Callable[[], bool],
        record: Callable[[str], None] | None,
        marker: Path,
    ) -> None:
        self.job_id = job_id
        self.marker = marker
        self.wanted = wanted
        self.record = record
        self.why: Stopped | None = None
        self.stopped_at = 0.0
        self.thread = threading.get_ident()
        self.backend = _Watched(backend, self)

    def check(self) -> None:
        """Raise Stopped if the analysis is to end."""
        if self.why is not None:
            raise type(self.why)(str(self.why))

    def progress(self, tell: Progress) -> Progress:
        """The same, but it ends an analysis that is to end."""

        def tell_or_stop(stage: str, fraction: float) -> None:
            self.check()
            tell(stage, fraction)

        return tell_or_stop


class _Watched(BackendWrapper):
    """`domain.ports.Backend` that raises Stopped where the analysis is to end."""

    def __init__(self, backend: Backend, run: Run) -> None:
        super().__init__(backend)
        self._run = run

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self._run.check()
        return self._backend.infer(name, inputs)
