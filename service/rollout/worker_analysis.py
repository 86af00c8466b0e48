"""What one worker process analyses studies with, for patients and in the shadow."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from service.analysis.analyst import Analyst
from service.analysis.open_study import Studies
from service.analysis.watchdog import Watchdog
from service.domain.job import Job
from service.errors import Permanent
from service.rollout.assignment import Models


@dataclass(frozen=True, slots=True)
class WorkerAnalysis:
    """The analyses by pipeline, the models that are served, what ends a long analysis, and what opens its files."""

    analysts: Mapping[str, Analyst]
    models: Models
    watchdog: Watchdog
    studies: Studies

    def analyst_of(self, job: Job) -> Analyst:
        """The analysis of a job's pipeline; Permanent if it is not configured any more."""
        if job.pipeline not in self.analysts:
            configured = ", ".join(self.analysts)
            raise Permanent(f"the pipeline {job.pipeline} is not configured; configured are: {configured}")
        return self.analysts[job.pipeline]

    def for_comparison(self) -> Self:
        """The same, but nothing that one analysis found is used for another: it would be compared with itself. Nor
        is it compared with earlier CTs, which tells nothing of a model."""
        return replace(
            self,
            analysts={name: replace(one, last=one.last.afresh(), comparer=None) for name, one in self.analysts.items()},
        )
