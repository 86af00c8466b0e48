"""Operators' actions on jobs, from the command line or the API. The workers take it up within seconds."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from service.domain.job import Job
from service.domain.job_state import NOT_ANALYSED, Event, IllegalTransition, State, is_possible
from service.domain.review import Review, Verdict
from service.store.audit import Audit
from service.store.job_rows import purged
from service.store.reviews import Reviews
from service.store.study_tables import StudyTables
from service.worker.delivery_plans import DeliveryPlans


class JobActions:
    """by: who wants it, for the journal and the audit trail.

    Every method: LookupError if there is no such job, IllegalTransition, in words, if it cannot be done.
    """

    def __init__(
        self,
        tables: StudyTables,
        reviews: Reviews,
        plans: DeliveryPlans,
        pipelines: Collection[str],
        audit: Audit,
        clock: Callable[[], datetime],
    ) -> None:
        """pipelines: names of those that are configured."""
        self._jobs, self._records, self._deliveries = tables.jobs, tables.records, tables.deliveries
        self._pipelines = pipelines
        self._reviews = reviews
        self._plans = plans
        self._audit = audit
        self._clock = clock

    def retry(self, job_id: str, by: str) -> Job:
        """A failed job is analysed again; of an undelivered one the stored bytes are sent again."""
        with self._entry(by, "retry", job_id), self._advised(job_id, "retry"):
            job = self._jobs.get(job_id)
            return self._deliveries.retry(job_id, self._plans.of_job(job), by, self._clock())

    def cancel(self, job_id: str, by: str) -> Job:
        """Nothing more is analysed or sent; what has been sent stays where it is."""
        with self._entry(by, "cancel", job_id), self._advised(job_id, "cancel"):
            return self._deliveries.cancel(job_id, by, self._clock())

    def resend(self, job_id: str, by: str, destinations: Sequence[str] = ()) -> Job:
        """The stored bytes go once more to these destinations; without any, to all that the rules name."""
        with self._entry(by, "resend", job_id, to=list(destinations) or None), self._advised(job_id, "resend"):
            return self._resend(job_id, by, destinations)

    def reanalyse(self, job_id: str, by: str) -> Job:
        """A new job of the same pipeline, with the models and settings of now. It supersedes the latest one.

        Of a job without a pipeline: the same job; the rules choose again as soon as the study has been quiet.
        """
        with self._entry(by, "reanalyse", job_id), self._advised(job_id, "reanalyse"):
            job = self._jobs.get(job_id)
            if job.state in NOT_ANALYSED:
                raise IllegalTransition(f"job {job_id} is {job.state}: its analysis is not done")
            if job.purged_at is not None:
                raise IllegalTransition(purged(job_id, job.purged_at))
            if job.pipeline and job.pipeline not in self._pipelines:
                raise IllegalTransition(f"the pipeline {job.pipeline} is not configured any more")
            if not job.pipeline:
                self._records.choose_again(job, by, self._clock())
                return job
            return self._jobs.get(self._records.create_job_again(job.study_uid, job.pipeline, by, self._clock()))

    def review(self, job_id: str, by: str, verdict: Verdict, score: int | None = None, comment: str = "") -> Job:
        """A radiologist's word on the result; the latest one counts. NoReview for a score that is none."""
        with self._entry(by, "review", job_id, verdict=verdict, score=score):
            return self._reviews.add(job_id, Review(verdict, by, self._clock(), score, comment))

    @contextmanager
    def _entry(self, by: str, what: str, job_id: str, **asked: Any) -> Iterator[None]:
        """One entry of the audit trail, for a job that there is: anybody can think of others."""
        self._jobs.get(job_id)
        with self._audit.entry(by, what, job_id, **asked):
            yield

    @contextmanager
    def _advised(self, job_id: str, tried: str) -> Iterator[None]:
        """Adds to an IllegalTransition what would work in place of what was tried."""
        try:
            yield
        except IllegalTransition as error:
            job = self._jobs.get(job_id)
            advice = [f"{name} ({meaning})" for name, meaning in self._possible(job) if name != tried]
            if job.purged_at is not None or not advice:
                raise
            raise IllegalTransition(f"{error}. What would work: {', '.join(advice)}") from error

    def _possible(self, job: Job) -> Iterator[tuple[str, str]]:
        """What can be done with a job in its state, each with what it means."""
        newest = not self._jobs.is_superseded(job.job_id)
        plans = bool(self._plans.of_job(job))
        if newest and (job.state is State.FAILED or (job.state is State.UNDELIVERED and plans)):
            yield "retry", "try it again"
        if newest and plans and is_possible(job.state, Event.RESEND):
            yield "resend", "send the stored results once more"
        if is_possible(job.state, Event.CANCEL) and (
            job.state is not State.REFUSED or self._deliveries.destinations(job.job_id)
        ):
            yield "cancel", "stop it"
        if job.state not in NOT_ANALYSED and (not job.pipeline or job.pipeline in self._pipelines):
            yield "reanalyse", "analyse the study again, as a new job"

    def _resend(self, job_id: str, by: str, destinations: Sequence[str]) -> Job:
        job = self._jobs.get(job_id)
        plans = self._plans.of_job(job)
        if unknown := sorted(set(destinations) - set(plans)):
            known = f"; it has something for {', '.join(plans)}" if plans else ""
            raise IllegalTransition(f"job {job_id} is {job.state} and has nothing for {', '.join(unknown)}{known}")
        chosen = {name: plan for name, plan in plans.items() if not destinations or name in destinations}
        if not chosen:
            raise IllegalTransition(f"job {job_id} is {job.state} and has nothing to send")
        return self._deliveries.resend(job_id, chosen, by, self._clock())
