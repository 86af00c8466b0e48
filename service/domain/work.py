"""Interfaces of the work that the durable engine runs, and what each returns.

The engine knows nothing of analyses and destinations; the modules that do the work know nothing of the engine.

Each method runs at least once: after a kill it runs again. It raises only where the database cannot be reached.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class TryAgain:
    """The work could not be done now; the next attempt begins `after_s` seconds from now."""

    after_s: float


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing is left to do."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """An analysis ended: its results go to these destinations, by name.

    priority: the job's new priority, None if the analysis did not change it.
    """

    destinations: tuple[str, ...] = ()
    priority: int | None = None


DONE = Done()
NOTHING_TO_DELIVER = Deliver()


def done_or_again(wait_s: float | None) -> Done | TryAgain:
    """Returns TryAgain after so many seconds, Done for None."""
    return DONE if wait_s is None else TryAgain(wait_s)


class StudyWork(Protocol):
    """Analyses of studies."""

    def analyse(self, job_id: str, attempt: int) -> Deliver | TryAgain:
        """Analyse one job. attempt: counted from 1."""
        ...

    def abandon(self, job_id: str) -> None:
        """Mark the job failed: the processes that analysed it died again and again."""
        ...


class DeliveryWork(Protocol):
    """Deliveries of results."""

    def deliver(self, job_id: str, destination: str, attempt: int) -> Done | TryAgain:
        """Make one attempt, counted from 1, to deliver a job to one destination."""
        ...


class ShadowWork(Protocol):
    """Analyses of studies by candidate models, beside the active ones."""

    def analyse(self, job_id: str, attempt: int) -> Done | TryAgain:
        """Let the candidates analyse one job. attempt: counted from 1."""
        ...

    def abandon(self, job_id: str) -> None:
        """Mark the candidates failed: the processes that ran them died again and again."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """All that one worker process does for the engine."""

    studies: StudyWork
    deliveries: DeliveryWork
    shadows: ShadowWork
