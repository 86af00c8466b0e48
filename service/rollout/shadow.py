"""Shadow mode: a job that has been analysed is analysed once more, by the active models and by the candidate.

It begins when nothing else waits, and a study that comes meanwhile waits for it to end. It shows no result: what the
candidate says is kept apart from the job's results, and how it differs is recorded and counted. Whatever goes wrong is
the candidate's trouble alone.
"""

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

from service.analysis.analyst import Outcome
from service.analysis.open_study import Study, run_of
from service.analysis.watched_run import Unwanted
from service.domain.analysis import Analysis
from service.domain.job import Job
from service.domain.job_state import UNWANTED
from service.domain.ports import Backend, Spool
from service.domain.retry import RetryPolicy
from service.domain.work import Done, TryAgain, done_or_again
from service.errors import ThoracleError, Transient
from service.imaging.difference import Difference, difference
from service.rollout.worker_analysis import WorkerAnalysis
from service.store.shadows import Shadow, results_of
from service.store.study_tables import StudyTables
from service.worker_step import InternalError, worker_step

log = logging.getLogger(__name__)


class ShadowObserver(Protocol):
    """Counts the outcomes of candidates in the shadow. difference: None where there is none."""

    def shadow(self, pipeline: str, model: str, version: str, outcome: str, difference: Difference | None) -> None: ...


class Shadower:
    """Runs the shadow analyses of one worker process (port `domain.work.ShadowWork`)."""

    def __init__(
        self,
        analysis: WorkerAnalysis,
        tables: StudyTables,
        spool: Spool,
        observer: ShadowObserver,
        retries: RetryPolicy,
        clock: Callable[[], datetime],
    ) -> None:
        self._analysis = analysis
        self._models = analysis.models
        self._watchdog = analysis.watchdog
        self._studies = analysis.studies
        self._spool = spool
        self._jobs = tables.jobs
        self._shadows = tables.shadows
        self._observer = observer
        self._retries = retries
        self._clock = clock

    def analyse(self, job_id: str, attempt: int) -> Done | TryAgain:
        """Let all candidates that are to analyse the job do so."""
        job = self._jobs.get(job_id)
        waits_s = [self._run(job, model, version, attempt) for model, version in self._shadows.waiting(job_id)]
        return done_or_again(min((wait_s for wait_s in waits_s if wait_s is not None), default=None))

    def abandon(self, job_id: str) -> None:
        """Mark the candidates failed: the processes that ran them died again and again."""
        self._fail(job_id, "the worker process died repeatedly meanwhile")

    def _fail(self, job_id: str, error: str) -> None:
        job = self._jobs.get(job_id)
        for model, version in self._shadows.waiting(job_id):
            self._end(job, model, version, Shadow.FAILED, error=error)

    def _run(self, job: Job, model: str, version: str, attempt: int) -> float | None:
        try:
            with worker_step(SQLAlchemyError):  # what cannot be recorded now the engine tries again
                both = None if _past(job) else self._models.beside(model, version)
                if both is None:
                    self._end(job, model, version, Shadow.WITHDRAWN)
                else:
                    self._compare(job, model, version, *both)
        except (Transient, OSError) as error:
            wait_s = self._retries.wait_s(attempt, self._clock() - job.created_at)
            if wait_s is None:
                self._end(job, model, version, Shadow.FAILED, error=str(error))
            return wait_s
        except Unwanted:
            self._end(job, model, version, Shadow.WITHDRAWN)
        except ThoracleError as error:
            if isinstance(error, InternalError):
                log.error("job %s in the shadow: %s\n%s", job.job_id, error.kind, error.where)
            self._end(job, model, version, Shadow.FAILED, error=str(error))
        return None

    def _compare(self, job: Job, model: str, version: str, active: Backend, candidate: Backend) -> None:
        with self._studies.open(job, f"in the shadow, {model} {version}: ") as study:
            before = self._watched(job, study, active)
            after = self._watched(job, study, candidate)
        files = {one.file_name: one.content for one in after.evidence}
        files["result.json"] = json.dumps(after.document, indent=2).encode()
        results = results_of(job.job_id, model, version)
        self._spool.remove_results(results)  # of a run that was killed: it compared others, perhaps
        self._spool.save_results(results, files)
        if _past(self._jobs.get(job.job_id)):  # a purge that had looked before this began removes nothing any more
            self._spool.remove_results(results)
            self._end(job, model, version, Shadow.WITHDRAWN)
            return
        if before.analysis is None or after.analysis is None or before.series_uid != after.series_uid:
            why = f"active: {_in_words(before)}; candidate: {_in_words(after)}"
            self._end(job, model, version, Shadow.FAILED, error=f"nothing to compare: {why}")
            return
        found = difference(before.analysis, after.analysis)
        document = {
            "pipeline": job.pipeline,
            "reference": _models(before.analysis),
            "candidate": _models(after.analysis),
            "classified": any(one.analysis.classification is not None for one in (before, after) if one.analysis),
            "difference": found.as_document(),
        }
        self._end(job, model, version, Shadow.COMPARED, document=document, found=found)

    def _watched(self, job: Job, study: Study, backend: Backend) -> Outcome:
        """The analysis within the limits of any."""
        series, progress, expected_images = study
        wanted, record = partial(self._is_wanted, job.job_id), partial(self._fail, job.job_id)
        with self._watchdog.over(job.job_id, backend, wanted, record, job.started_at) as watched:
            progress = watched.progress(progress)
            return (
                self._analysis.analyst_of(job)
                .on(watched.backend)
                .analyse(series, progress, expected_images, run_of(job))
            )

    def _is_wanted(self, job_id: str) -> bool:
        return not _past(self._jobs.get(job_id))

    def _end(
        self,
        job: Job,
        model: str,
        version: str,
        state: Shadow,
        *,
        document: Mapping[str, Any] | None = None,
        error: str = "",
        found: Difference | None = None,
    ) -> None:
        self._shadows.end(job.job_id, model, version, state, self._clock(), document=document, error=error)
        self._observer.shadow(job.pipeline, model, version, state, found)
        log.info("job %s in the shadow, %s %s: %s %s", job.job_id, model, version, state, error)


def _past(job: Job) -> bool:
    """Nobody wants to know any more."""
    return job.purged_at is not None or job.state in UNWANTED


def _in_words(outcome: Outcome) -> str:
    if outcome.analysis is not None:
        return f"series {outcome.series_uid} analysed"
    return "refused, " + ", ".join(sorted({r.reason for rs in outcome.refusals.values() for r in rs}))


def _models(analysis: Analysis) -> list[dict[str, str]]:
    return [{"name": one.name, "version": one.version, "sha256": one.sha256} for one in analysis.models]
