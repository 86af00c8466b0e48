"""Analyses jobs for the durable engine (port `domain.work.StudyWork`).

Every method may run again after a kill, so each looks first at what is already there. Whatever goes wrong with a study
is recorded with its job; only what keeps it from being recorded (the database) is raised, and the engine tries again.
"""

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from pydicom import Dataset
from sqlalchemy.exc import SQLAlchemyError

from service.analysis.analyst import Outcome, Run, not_taken
from service.analysis.open_study import Study, run_of
from service.analysis.watched_run import Unwanted
from service.domain.flags import OF_COMPARISON
from service.domain.job import Job, Result, StoredObject
from service.domain.job_state import NOT_ANALYSED, State, advance
from service.domain.pipeline import roles_of
from service.domain.ports import Backend, Spool
from service.domain.prior import Patient
from service.domain.retry import RetryPolicy
from service.domain.routing import StudyFacts
from service.domain.scanner import scanner
from service.domain.work import NOTHING_TO_DELIVER, Deliver, TryAgain
from service.errors import Reason, ThoracleError, Transient
from service.evidence.context import Evidence
from service.evidence.result import headline_document
from service.imaging.attributes import known_text
from service.imaging.facts import series_facts
from service.rollout.assignment import Assigned
from service.rollout.fallback import analyse_with_fallback
from service.rollout.worker_analysis import WorkerAnalysis
from service.store.encryption import LOST
from service.store.prior_jobs import patient_key
from service.store.study_tables import StudyTables
from service.worker.delivery_plans import DeliveryPlans, of_pipeline
from service.worker.saved_result import ENDED, from_json, to_json
from service.worker.study_reports import Observers
from service.worker_step import InternalError, worker_step

if TYPE_CHECKING:  # it brings libraries that only an analysis needs
    from service.domain.analysis import ModelUse

log = logging.getLogger(__name__)

ANALYSIS_RETRIES = RetryPolicy((60.0, 300.0), timedelta(hours=24))
"""For a full disk or a back end that is away; neither is the study's fault."""


class StudyObserver(Protocol):
    """Counts the outcomes of studies. Labels are outcomes, never patient data."""

    def study(self, outcome: str, pipeline: str, timings_s: Mapping[str, float]) -> None: ...

    def analysed_by(self, model: str, version: str) -> None:
        """Which version of a model analysed a study, or was asked before it was refused."""
        ...

    def measured(self, pipeline: str, measure: str, scanner: str, value: float) -> None:
        """A number of a result that is watched over many studies. scanner: manufacturer and model."""
        ...

    def refused(self, pipeline: str, scanner: str, reasons: Iterable[str]) -> None:
        """Nothing of a study could be analysed; each reason once."""
        ...

    def compared(self, pipeline: str, outcome: str) -> None:
        """What became of the comparison of a result with an earlier CT."""
        ...


class Runner:
    """Runs jobs on one worker process."""

    def __init__(
        self,
        analysis: WorkerAnalysis,
        tables: StudyTables,
        spool: Spool,
        plans: DeliveryPlans,
        observers: Observers[StudyObserver],
        without: Callable[[str, str, str, str], None],
        clock: Callable[[], datetime],
    ) -> None:
        """without: is told the job, model, version and reason when a study is analysed without its candidate."""
        self._analysis = analysis
        self._models = analysis.models
        self._watchdog = analysis.watchdog
        self._studies = analysis.studies
        self._spool = spool
        self._records = tables.records
        self._jobs = tables.jobs
        self._plans = plans
        self._observer = observers.metrics
        self._reports = observers.reports
        self._without = without
        self._clock = clock

    def analyse(self, job_id: str, attempt: int) -> Deliver | TryAgain:
        """Analyse one job; of a job that is analysed, plan the deliveries once more."""
        job = self._jobs.get(job_id)
        if job.state not in NOT_ANALYSED:
            return Deliver(tuple(self._plans.begin(job)))
        unfinished = job.state is State.RUNNING
        job = self._jobs.start(job_id, self._clock())
        try:
            with worker_step(SQLAlchemyError):  # what cannot be recorded now the engine tries again
                result = self._analysed(job, unfinished)
        except Unwanted as error:
            log.info("job %s: nothing more is done: %s", job_id, error)
            return NOTHING_TO_DELIVER
        except (Transient, OSError) as error:
            log.warning("job %s: attempt %d failed: %s", job_id, attempt, error)
            wait_s = ANALYSIS_RETRIES.wait_s(attempt, self._clock() - job.created_at)
            if wait_s is not None:
                self._jobs.retry(job_id, str(error))
                return TryAgain(wait_s)
            result = Result(error=str(error) or type(error).__name__)
        except InternalError as error:
            log.error("job %s failed: %s\n%s", job_id, error.kind, error.where)
            result = Result(error=f"{error}; the log tells where")
        except ThoracleError as error:
            log.error("job %s failed: %s", job_id, error)
            result = Result(error=str(error) or type(error).__name__)
        return self._end(job, result)

    def _end(self, job: Job, result: Result) -> Deliver:
        """Record how the analysis ended, and what goes where."""
        plans = self._plans.of_results(result.objects, of_pipeline(result.facts, job))
        finished = self._jobs.finish(job.job_id, result, self._clock(), plans)
        ended = advance(State.RUNNING, result.event)
        log.info("job %s: %s", job.job_id, ended)
        self._count(job, ended, result)
        return Deliver(tuple(plans), finished.priority if finished.priority != job.priority else None)

    def _analysed(self, job: Job, unfinished: bool) -> Result:
        """Analyse the study, with its candidates where it has any, and save the results."""
        assigned = self._models.for_study(job.study_uid)
        with self._studies.open(job) as study:
            self._reports.read(job.study_uid, [path for series in study[0] for path in series.paths[:1]])
            if not job.pipeline:
                return self._save(job, not_taken(study[0], self._run(job)), ())
            analyse = partial(self._watched, job, study, assigned)
            outcome = analyse_with_fallback(assigned, analyse, unfinished)
        result = self._save(job, outcome, outcome.candidates)
        if not any(model["candidate"] for model in result.models):
            self._tell_without(job.job_id, assigned, outcome.without)
        return result

    def abandon(self, job_id: str) -> None:
        """Mark the job failed: the processes that ran it died again and again."""
        if self._jobs.get(job_id).state is State.RUNNING:
            self._fail(job_id, "the worker process died repeatedly while analysing this study")

    def _fail(self, job_id: str, error: str) -> None:
        """What no step of the job can record itself."""
        self._jobs.finish(job_id, Result(error=error), self._clock())
        self._observer.study(State.FAILED, self._jobs.get(job_id).pipeline, {})
        log.error("job %s failed: %s", job_id, error)

    def _count(self, job: Job, ended: State, result: Result) -> None:
        self._observer.study(ended, job.pipeline, result.timings_s)
        for model in result.models:
            self._observer.analysed_by(model["name"], model["version"])
        for measure, value in result.drift.items():
            self._observer.measured(job.pipeline, measure, result.scanner, value)
        if result.compared:
            self._observer.compared(job.pipeline, result.compared)
        if ended is State.REFUSED:
            reasons = {refusal.reason for refusals in result.refusals.values() for refusal in refusals}
            if job.pipeline:
                reasons.discard(Reason.NO_PIPELINE)  # another series of the study was the pipeline's
            self._observer.refused(job.pipeline, result.scanner, sorted(reasons))

    def _tell_without(self, job_id: str, assigned: Assigned, why_not: Mapping[str, str]) -> None:
        for name, why in why_not.items():
            version = assigned.others[name].spec(name).version
            log.error("job %s: analysed without the candidate %s version %s: %s", job_id, name, version, why)
            self._without(job_id, name, version, why)

    def _watched(self, job: Job, study: Study, assigned: Assigned, backend: Backend) -> Outcome:
        """The analysis within its limits. With a candidate it is not recorded that a process had to be ended: the next
        one asks the active versions alone."""
        series, progress, expected_images = study
        record = partial(self._fail, job.job_id) if backend is assigned.active else None
        at = backend.at(job.urgency)
        wanted = partial(self._is_wanted, job.job_id)
        with self._watchdog.over(job.job_id, at, wanted, record, job.started_at) as run:
            return self._outcome(job, (series, run.progress(progress), expected_images), run.backend)

    def _is_wanted(self, job_id: str) -> bool:
        return self._jobs.get(job_id).state is State.RUNNING

    def _outcome(self, job: Job, study: Study, backend: Backend) -> Outcome:
        """A purged study that comes again gives the same objects again. Of what came after a purge a refusal says
        nothing about the study: there is no notice, and the earlier result stays."""
        analyst = self._analysis.analyst_of(job).on(backend)
        if (same := self._records.same_again(job)) is not None:
            outcome = analyst.analyse(*study, self._run(self._jobs.get(same)))
            before = {o.sop_instance_uid for o in self._jobs.objects(same)}
            if {e.sop_instance_uid for e in outcome.evidence if e.sop_instance_uid} == before:
                return outcome
        outcome = analyst.analyse(*study, self._run(job))
        if outcome.analysis is None and self._records.is_remainder(job.job_id):
            log.info("job %s: refused, without a notice: the earlier images of the study were purged", job.job_id)
            return replace(outcome, evidence=())
        return outcome

    def _run(self, job: Job) -> Run:
        return run_of(job, self._plans.earlier(job))

    def _save(self, job: Job, outcome: Outcome, candidates: Collection[str]) -> Result:
        """Result files on disk first, then they may be recorded."""
        analysis = outcome.analysis
        result = Result(
            series_uid=outcome.series_uid,
            refusals=outcome.refusals,
            flags=analysis.flags if analysis else (),
            headline=headline_document(analysis.headline) if analysis else None,
            urgent=analysis is not None and analysis.urgent,
            rank=analysis.rank if analysis else None,
            drift=dict(analysis.drift) if analysis else {},
            scanner=_scanner(outcome),
            timings_s=outcome.timings_s,
            objects=list(_described(outcome.evidence)),
            facts=self._facts(job, outcome),
            models=[_recorded(one) | {"candidate": one.name in candidates} for one in outcome.models],
            shadows=self._shadows(job) if analysis else {},
            patient=_digest(outcome.patient),
            compared=_compared(outcome),
        )
        files = {e.file_name: e.content for e in outcome.evidence}
        files["result.json"] = json.dumps(outcome.document, indent=2).encode()
        return self._kept(job.job_id, files, result)

    def _kept(self, job_id: str, files: Mapping[str, bytes], result: Result) -> Result:
        """Save the results; what is kept. After a kill this may be all of the run before, whose models, bytes and UIDs
        may be others: a predecessor may have moved on meanwhile, a model, or the software."""
        files = {**files, ENDED: to_json(result)}
        try:
            return self._saved(job_id, files)
        except LOST as error:  # never recorded: of a newer database, or not ours
            log.warning("job %s: results that were there cannot be read, and are replaced: %s", job_id, error)
            self._spool.remove_results(job_id)
            return self._saved(job_id, files)

    def _saved(self, job_id: str, files: Mapping[str, bytes]) -> Result:
        paths = self._spool.save_results(job_id, files)
        if ENDED not in paths:  # kept by a version that did not write it, and never recorded
            self._spool.remove_results(job_id)
            paths = self._spool.save_results(job_id, files)
        with self._spool.local([paths[ENDED]]) as (file,):
            kept = from_json(file.read_bytes())
        return replace(kept, objects=[replace(one, path=paths[one.path]) for one in kept.objects])

    def _shadows(self, job: Job) -> dict[str, str]:
        """Candidates of models that the job's pipeline uses, version by model name."""
        pipeline = self._analysis.analyst_of(job).pipeline
        uses = roles_of([pipeline])
        return {name: version for name, version in self._models.shadows().items() if name in uses}

    def _facts(self, job: Job, outcome: Outcome) -> StudyFacts:
        """What routing rules look at: the analysed series, else the first of CT images that came."""
        records = sorted(self._records.series_of(job.study_uid), key=lambda r: (not r.paths, r.first_received_at))
        series = next((r for r in records if r.series_uid == outcome.series_uid), records[0])
        header = outcome.headers.get(series.series_uid, Dataset())
        return series_facts(header, series.calling_ae, series.called_ae, series.first_received_at, job.pipeline)


def _scanner(outcome: Outcome) -> str:
    """Of the analysed series, else of the first one that could be read."""
    first = next(iter(outcome.headers.values()), Dataset())
    header = outcome.headers.get(outcome.series_uid or "", first)
    return scanner(known_text(header, "Manufacturer"), known_text(header, "ManufacturerModelName"))


def _digest(patient: Patient | None) -> str:
    return "" if patient is None else patient_key(patient.patient_id, patient.issuer, patient.entity)


def _compared(outcome: Outcome) -> str:
    """What became of the comparison, as it is counted; "" where none was wanted."""
    if outcome.patient is None or outcome.analysis is None:
        return ""
    if outcome.analysis.comparison is not None:
        return "compared"
    raised = (flag.code.lower() for flag in outcome.analysis.flags if flag in OF_COMPARISON)
    return next(raised, "none")


def _recorded(model: "ModelUse") -> dict[str, str]:
    """A model as a job records it: what it ran on stands in the result only."""
    return {"name": model.name, "version": model.version, "sha256": model.sha256}


def _described(evidence: Sequence[Evidence]) -> Iterator[StoredObject]:
    """The DICOM objects among the files, by file name."""
    for one in evidence:
        if one.sop_class_uid is not None and one.sop_instance_uid is not None:
            yield StoredObject(
                one.kind,
                one.sop_class_uid,
                one.sop_instance_uid,
                one.file_name,
                sha256(one.content).hexdigest(),
                one.style.name if one.style else None,
                one.series_uid,
                one.refers_to,
            )
