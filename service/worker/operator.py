"""What an operator may do with a job, from the command line or by the API. The workers take it up within seconds."""

from collections.abc import Callable, Sequence
from datetime import datetime

from service.domain.job import IllegalTransition, Job, State
from service.domain.review import Review, Verdict
from service.store.audit import Audit
from service.store.deliveries import Deliveries
from service.store.job_rows import purged
from service.store.jobs import Jobs
from service.store.records import Records
from service.store.reviews import Reviews
from service.worker.delivery import Courier


class Operator:
    """by: who wants it, for the journal and the audit trail.

    Every method: LookupError if there is no such job, IllegalTransition, in words, if it cannot be done.
    """

    def __init__(
        self,
        jobs: Jobs,
        records: Records,
        deliveries: Deliveries,
        reviews: Reviews,
        courier: Courier,
        audit: Audit,
        clock: Callable[[], datetime],
    ) -> None:
        self._jobs = jobs
        self._records = records
        self._deliveries = deliveries
        self._reviews = reviews
        self._courier = courier
        self._audit = audit
        self._clock = clock

    def retry(self, job_id: str, by: str) -> Job:
        """A failed job is analysed again; of an undelivered one the stored bytes are sent again."""
        with self._audit.entry(by, "retry", job_id):
            job = self._jobs.get(job_id)
            return self._deliveries.retry(job_id, self._courier.plans_of(job), by, self._clock())

    def cancel(self, job_id: str, by: str) -> Job:
        """Nothing more is analysed or sent; what has been sent stays where it is."""
        with self._audit.entry(by, "cancel", job_id):
            return self._deliveries.cancel(job_id, by, self._clock())

    def resend(self, job_id: str, by: str, destinations: Sequence[str] = ()) -> Job:
        """The stored bytes go once more to these destinations; without any, to all that the rules name."""
        with self._audit.entry(by, "resend", job_id, to=list(destinations) or None):
            return self._resend(job_id, by, destinations)

    def reanalyse(self, job_id: str, by: str) -> Job:
        """A new job for the same study, with the models and the configuration of now. It supersedes the latest one."""
        with self._audit.entry(by, "reanalyse", job_id):
            job = self._jobs.get(job_id)
            if job.state in (State.CREATED, State.QUEUED, State.RUNNING):
                raise IllegalTransition(f"job {job_id} is {job.state}: its analysis is not done")
            if job.purged_at is not None:
                raise IllegalTransition(purged(job_id, job.purged_at))
            return self._jobs.get(self._records.create_job_again(job.study_uid, by, self._clock()))

    def review(self, job_id: str, by: str, verdict: Verdict, score: int | None = None, comment: str = "") -> Job:
        """A radiologist's word on the result; the latest one counts. NoReview for a score that is none."""
        with self._audit.entry(by, "review", job_id, verdict=verdict, score=score):
            return self._reviews.add(job_id, Review(verdict, by, self._clock(), score, comment))

    def _resend(self, job_id: str, by: str, destinations: Sequence[str]) -> Job:
        plans = self._courier.plans_of(self._jobs.get(job_id))
        if unknown := sorted(set(destinations) - set(plans)):
            raise IllegalTransition(f"job {job_id} has nothing for {', '.join(unknown)}")
        chosen = {name: plan for name, plan in plans.items() if not destinations or name in destinations}
        if not chosen:
            raise IllegalTransition(f"job {job_id} has nothing to send")
        return self._deliveries.resend(job_id, chosen, by, self._clock())
