"""The three workflows as DBOS knows them: their ids, queues, steps, and which attempt comes next.

Names, ids, arguments and the stored values of steps are read by later versions of the service: work in flight at an
upgrade must be understood.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import sqlalchemy as sa
from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, WorkflowStatus

from service.domain.job import NoSuchJob
from service.domain.job_state import IllegalTransition
from service.domain.work import DONE, NOTHING_TO_DELIVER, Deliver, Done, TryAgain, Work, done_or_again
from service.errors import ThoracleError
from service.store.durable_engine.dbos_internals import DELAYED, IN_HAND, WorkflowRows
from service.worker_step import InternalError, worker_step

log = logging.getLogger(__name__)

STUDIES = "studies"
"""The queue of analyses."""

_LAST = 2**31 - 1
_MAX_RECOVERIES = 5
_MAX_SHADOW_RECOVERIES = 1  # a candidate that takes the process with it must not do so often
_STEP_RETRY_S = 30.0

_Result = TypeVar("_Result")


def study_prefix(job_id: str) -> str:
    """Returns how the ids of a job's analyses begin; the number of the attempt follows."""
    return f"study:{job_id}:"


def delivery_prefix(job_id: str, destination: str = "") -> str:
    """Returns how the ids of a job's deliveries begin, of all or of those to one destination."""
    return f"delivery:{job_id}:{destination}:" if destination else f"delivery:{job_id}:"


def shadow_prefix(job_id: str) -> str:
    """Returns how the ids of a job's shadow analyses begin."""
    return f"shadow:{job_id}:"


def kind_and_job(workflow_id: str) -> tuple[str, str]:
    """Returns "study", "delivery" or "shadow", and the job's id."""
    kind, job_id = workflow_id.split(":")[:2]
    return kind, job_id


def queue_of(destination: str) -> str:
    """Returns the name of a destination's queue."""
    return f"destination:{destination}"


def known(*prefixes: str, status: str | None = None) -> list[WorkflowStatus]:
    """Returns the workflows, waiting, running and ended, whose ids begin so."""
    return [
        workflow
        for prefix in prefixes
        for workflow in DBOS.list_workflows(
            workflow_id_prefix=prefix, status=status, load_input=False, load_output=False
        )
    ]


def next_attempt(prefix: str) -> int | None:
    """Returns the number of the next attempt; None while one waits, runs, or died and is about to be abandoned."""
    every = known(prefix)
    if any(workflow.status in IN_HAND for workflow in every):
        return None
    return max((int(workflow.workflow_id.rsplit(":", 1)[1]) for workflow in every), default=0) + 1


def end_delay(prefix: str) -> None:
    """Let delayed workflows whose ids begin so start now."""
    for workflow in known(prefix, status=DELAYED):
        DBOS.set_workflow_delay(workflow.workflow_id, delay_seconds=0)


class Workflows:
    """The workflows of this process, registered with DBOS, and what queues them.

    running: ids of the workflows that really run in this process.
    """

    def __init__(self, work: Work, rows: WorkflowRows, destinations: Collection[str]) -> None:
        """destinations: those that have a queue."""
        self._rows = rows
        self._destinations = frozenset(destinations)
        self.running: set[str | None] = set()
        self._study = self._register_study(work)
        self._delivery = self._register_delivery(work)
        self._shadow = self._register_shadow(work)

    def enqueue_study(self, job_id: str, attempt: int, delay_s: float | None, priority: int) -> None:
        """Queue one attempt of an analysis."""
        workflow_id = f"{study_prefix(job_id)}{attempt}"
        _enqueue(STUDIES, self._study, workflow_id, delay_s, priority, job_id, attempt)

    def enqueue_shadow(self, job_id: str, attempt: int, delay_s: float | None) -> None:
        """Queue one attempt of the candidates' analyses, behind all studies."""
        _enqueue(STUDIES, self._shadow, f"{shadow_prefix(job_id)}{attempt}", delay_s, _LAST, job_id, attempt)

    def enqueue_delivery(
        self, job_id: str, destination: str, attempt: int, delay_s: float | None, priority: int
    ) -> None:
        """Queue one attempt of a delivery."""
        workflow_id = f"{delivery_prefix(job_id, destination)}{attempt}"
        # A destination that was taken out of the configuration has no queue; its deliveries are only to be settled.
        queue = queue_of(destination) if destination in self._destinations else STUDIES
        _enqueue(queue, self._delivery, workflow_id, delay_s, priority, job_id, destination, attempt)

    def _register_study(self, work: Work) -> Any:
        """Returns the workflow; DBOS takes plain functions only, so it closes over this object."""

        def analysed(job_id: str, attempt: int) -> Deliver | TryAgain:
            result = work.studies.analyse(job_id, attempt)
            if isinstance(result, Deliver) and result.priority is not None:
                self._rows.prioritise((study_prefix(job_id), delivery_prefix(job_id)), result.priority)
            return result

        @DBOS.step(name="analyse")
        def analyse(job_id: str, attempt: int) -> list[str] | float:
            return _stored(_step(lambda: analysed(job_id, attempt), NOTHING_TO_DELIVER))

        @DBOS.workflow(name="study", max_recovery_attempts=_MAX_RECOVERIES)
        def study(job_id: str, attempt: int) -> None:
            with self._noted_as_running():
                result = _analysis(analyse(job_id, attempt))
                if isinstance(result, TryAgain):
                    self.enqueue_study(job_id, attempt + 1, result.after_s, self._own_priority())
                    return
                for destination in result.destinations:
                    self.enqueue_delivery(job_id, destination, 1, None, self._own_priority())

        return study

    def _register_delivery(self, work: Work) -> Any:
        @DBOS.step(name="deliver")
        def deliver(job_id: str, destination: str, attempt: int) -> float | None:
            return _wait_s(_step(lambda: work.deliveries.deliver(job_id, destination, attempt), DONE))

        @DBOS.workflow(name="delivery", max_recovery_attempts=_MAX_RECOVERIES)
        def delivery(job_id: str, destination: str, attempt: int) -> None:
            with self._noted_as_running():
                result = done_or_again(deliver(job_id, destination, attempt))
                if isinstance(result, TryAgain):
                    self.enqueue_delivery(job_id, destination, attempt + 1, result.after_s, self._own_priority())

        return delivery

    def _register_shadow(self, work: Work) -> Any:
        @DBOS.step(name="shadow")
        def analyse_in_shadow(job_id: str, attempt: int) -> float | None:
            return _wait_s(_step(lambda: work.shadows.analyse(job_id, attempt), DONE))

        @DBOS.workflow(name="shadow", max_recovery_attempts=_MAX_SHADOW_RECOVERIES)
        def shadow(job_id: str, attempt: int) -> None:
            with self._noted_as_running():
                result = done_or_again(analyse_in_shadow(job_id, attempt))
                if isinstance(result, TryAgain):
                    self.enqueue_shadow(job_id, attempt + 1, result.after_s)

        return shadow

    def _own_priority(self) -> int:
        """Returns the priority of the running workflow."""
        return self._rows.priority(str(DBOS.workflow_id))

    @contextmanager
    def _noted_as_running(self) -> Iterator[None]:
        """Note that this process really runs the current workflow."""
        workflow_id = DBOS.workflow_id
        self.running.add(workflow_id)
        try:
            yield
        finally:
            self.running.discard(workflow_id)


def _enqueue(
    queue: str, workflow: Any, workflow_id: str, delay_s: float | None, priority: int, *arguments: object
) -> None:
    # DBOS wants no priority given where it is 0.
    with SetWorkflowID(workflow_id), SetEnqueueOptions(delay_seconds=delay_s, priority=priority or None):
        DBOS.enqueue_workflow(queue, workflow, *arguments)


def _step(work: Callable[[], _Result], settled: _Result) -> _Result | TryAgain:
    """Returns the result of the work, TryAgain if it fails, `settled` if the job is gone or has ended."""
    try:
        with worker_step(sa.exc.SQLAlchemyError):
            return work()
    except (sa.exc.SQLAlchemyError, OSError) as error:
        log.warning("a step could not be recorded, it is tried again: %s", type(error).__name__)
        return TryAgain(_STEP_RETRY_S)
    except (NoSuchJob, IllegalTransition) as error:
        log.warning("nothing left to do: %s", error)
        return settled
    except InternalError as error:
        log.error("a step failed: %s\n%s", error.kind, error.where)
        return TryAgain(_STEP_RETRY_S)
    except ThoracleError as error:
        log.error("a step failed: %s", error)
        return TryAgain(_STEP_RETRY_S)


def _stored(result: Deliver | TryAgain) -> list[str] | float:
    """Returns the form in which DBOS keeps the result of an analysis: plain values, as in every earlier version."""
    return result.after_s if isinstance(result, TryAgain) else list(result.destinations)


def _analysis(stored: Sequence[str] | float) -> Deliver | TryAgain:
    """Returns the result of an analysis from its stored form."""
    return TryAgain(float(stored)) if isinstance(stored, (int, float)) else Deliver(tuple(stored))


def _wait_s(result: Done | TryAgain) -> float | None:
    """Returns the stored form of a delivery's or a shadow analysis' result."""
    return result.after_s if isinstance(result, TryAgain) else None
