"""What the core asks of the outside world."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from service.domain.arrival import Arrival
from service.domain.ct import CT
from service.domain.findings import Analysis
from service.domain.model_spec import ModelSpec

Array = NDArray[Any]

Progress = Callable[[str, float], None]
"""Called with the stage's name and the fraction of it that is done, 0-1."""


class Backend(Protocol):
    """Where models run. Every method may be called from any thread."""

    @property
    def concurrency(self) -> int:
        """How many calls of `infer` at once keep it busy."""
        ...

    def has(self, name: str) -> bool:
        """Whether a model of this name is installed."""
        ...

    def spec(self, name: str) -> ModelSpec:
        """The spec of the active version of a model; Permanent if it is not installed."""
        ...

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run one batch (batch axis first); Transient if the server is away, Permanent if the model refuses."""
        ...


class Pipeline(Protocol):
    """One published system, as papers.md describes it."""

    name: str
    models: tuple[str, ...]

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        """Analyse one CT; Rejected if its lungs cannot be analysed."""
        ...


class Inbox(Protocol):
    """Where received instances go."""

    def free_bytes(self) -> int:
        """Space left for instances."""
        ...

    def take(self, arrival: Arrival) -> None:
        """Keep the instance: when this returns, neither a kill nor a power cut loses it. OSError: the disk fails."""
        ...


class ReceiverObserver(Protocol):
    """Who counts what the receiver does. Labels are outcomes and modalities, never patient data."""

    def association(self, outcome: str) -> None:
        """An association was accepted, rejected, released or aborted."""
        ...

    def instance(self, modality: str, status: int, seconds: float) -> None:
        """A C-STORE was answered with `status`, `seconds` after it was received."""
        ...
