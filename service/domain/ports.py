"""Interfaces (ports) that the core uses: back end, inbox, spool, progress, observers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from service.domain.arrival import Arrival, Identity
from service.domain.model_spec import ModelSpec
from service.domain.priority import Urgency

Array = NDArray[Any]

Progress = Callable[[str, float], None]
"""Called with the stage's name and the fraction of it that is done, 0-1."""


def unheard(_stage: str, _part: float) -> None:
    """A `Progress` that tells nobody."""


Step = Callable[[], None]
"""Called between the parts of something long, seconds apart at most; it raises what is to end it."""


def no_step() -> None:
    """A `Step` that never ends anything."""


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

    def check(self) -> None:
        """Transient, in words, if it cannot be used now or answers wrongly."""
        ...

    def at(self, urgency: Urgency) -> "Backend":
        """The same for a study of this urgency: where requests wait for each other, the urgent go first."""
        ...

    def cancel(self) -> None:
        """End the calls of `infer` that are under way, as far as they wait for a server: these raise Transient."""
        ...


class Inbox(Protocol):
    """Where received instances go."""

    def take(self, arrival: Arrival) -> None:
        """Keep the instance: when this returns, neither a kill nor a power cut loses it.

        OSError: the disk or the database fails. Unidentified: the instance itself cannot be recorded.
        """
        ...


class Spool(Protocol):
    """Where files are kept: received instances and results. Files never change; their names are relative paths.

    They may be encrypted where they lie; whoever reads gets what was saved.

    What the storage cannot do now is an OSError. Every method may be called from any thread and process.
    """

    def free_bytes(self) -> float:
        """Space left; infinite where nobody counts it."""
        ...

    def total_bytes(self) -> float:
        """Space of it all; infinite where nobody counts it."""
        ...

    def save(self, identity: Identity, content: bytes | memoryview, digest: str) -> str:
        """Keep a received file durably; its relative path. digest: SHA-256 of `content`, in hex."""
        ...

    def is_there(self, relative: str, key_id: str | None = None) -> bool:
        """Whether there is such a received file, plain or encrypted with this key: with another it is lost."""
        ...

    def received(self) -> Iterator[str]:
        """Relative paths of all received files."""
        ...

    def saved_at(self, relative: str) -> datetime:
        """When a file was saved; FileNotFoundError if it is not there."""
        ...

    def read(self, relative: str) -> bytes | None:
        """A received file, None if it is not what its name says; FileNotFoundError if it is not there or purged."""
        ...

    def may_be_found(self, relative: str) -> bool:
        """Whether a received file that has no row may be one that this service saved, not one that somebody put there.

        OSErrors as those of `read`.
        """
        ...

    def local(self, relatives: Sequence[str]) -> AbstractContextManager[list[Path]]:
        """The files as paths on this machine, in the same order, for as long as the context is open.

        A file that is not there is a FileNotFoundError, here or when it is opened. Nobody may write to them.
        """
        ...

    def save_results(self, job_id: str, files: Mapping[str, bytes]) -> dict[str, str]:
        """Keep all results of a job durably, all or none; the relative path of each by name.

        A job that has results keeps them: the first bytes are the ones that may already have been sent.
        """
        ...

    def remove(self, *relatives: str) -> None:
        """Delete received files, as far as they are there: a power cut brings none back."""
        ...

    def remove_damaged(self, relative: str) -> bool:
        """Delete a received file if it is still not what its name says, and return whether it was; the same bytes may
        be saved meanwhile.
        """
        ...

    def remove_results(self, job_id: str) -> None:
        """Delete all results of a job, if it has any: a power cut brings none back."""
        ...

    def remove_parts(self, older_than_s: float, now_s: float) -> None:
        """Delete what a killed process left half-written. now_s: seconds since the epoch."""
        ...


class ReceiverReports(Protocol):
    """Hears what the receiver has to report to the hospital. What goes wrong with it is no sender's fault: it raises
    nothing.
    """

    def kept(self, association: int, arrival: Arrival) -> None:
        """An instance was kept. association: by which it came."""
        ...

    def ended(self, association: int, released: bool) -> None:
        """An association has ended. released: in order."""
        ...

    def turned_away(self, address: str, calling_ae: str, why: str) -> None:
        """Somebody was not let in. calling_ae: "": it said none."""
        ...


class ReceiverObserver(Protocol):
    """Counts what the receiver does. Labels are outcomes and modalities, never patient data."""

    def association(self, outcome: str) -> None:
        """An association was accepted, rejected, released or aborted."""
        ...

    def instance(self, modality: str, status: int, seconds: float) -> None:
        """A C-STORE was answered with `status`, `seconds` after it was received."""
        ...
