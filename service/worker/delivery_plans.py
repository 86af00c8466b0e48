"""What each destination gets of a result, and what that replaces there."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from service.domain.job import Job, StoredObject
from service.domain.job_state import SENDING, State
from service.domain.routing import StudyFacts, routed
from service.evidence.context import NOTICES, Earlier, Predecessor
from service.store.deliveries import Deliveries
from service.store.jobs import Jobs
from service.store.planning import Plan
from service.worker.destination import Target, with_one_root
from service.worker.substitutes import wanted_of


class DeliveryPlans:
    """Plans deliveries to the destinations of this installation; `Courier` makes them."""

    def __init__(
        self, destinations: Mapping[str, Target], jobs: Jobs, deliveries: Deliveries, clock: Callable[[], datetime]
    ) -> None:
        self._destinations = destinations
        self._jobs = jobs
        self._deliveries = deliveries
        self._clock = clock

    def of_results(self, objects: Sequence[StoredObject], facts: StudyFacts | None) -> dict[str, Plan]:
        """Returns what each destination gets of these results, by the routing rules."""
        plans = {}
        for name, target in self._destinations.items():
            wanted = [o.sop_instance_uid for o in with_one_root(wanted_of(objects, target))]
            if wanted and (facts is None or routed(target.rules, facts)):
                plans[name] = Plan(wanted, target.confirm)
        return plans

    def of_job(self, job: Job) -> dict[str, Plan]:
        """Returns what each destination gets of an analysed or refused job."""
        return self.of_results(self._jobs.objects(job.job_id), of_pipeline(job.facts, job))

    def begin(self, job: Job) -> Sequence[str]:
        """Write down the deliveries of a job that has results; returns the destinations where something is open."""
        plans = self.of_job(job)
        if plans and job.state in (State.ANALYSED, *SENDING):
            self._deliveries.begin(job.job_id, plans, self._clock())
        return self._deliveries.destinations(job.job_id)

    def earlier(self, job: Job) -> Earlier | None:
        """Returns what the results of this job replace in the archives."""
        replaced = self._deliveries.replaced_by(job.job_id)
        if replaced is None:
            return None
        before, objects = replaced
        known = [o for o in objects if o.series_uid is not None]
        there = [Predecessor(o.sop_class_uid, o.sop_instance_uid, str(o.series_uid), job.study_uid) for o in known]
        notice = any(o.kind in NOTICES for o in objects)
        return Earlier(before.number, before.started_at, notice, tuple(there))


def of_pipeline(facts: StudyFacts | None, job: Job) -> StudyFacts | None:
    """The facts with the job's pipeline: those that version 0.2 recorded have none."""
    return None if facts is None else replace(facts, pipeline=job.pipeline)
