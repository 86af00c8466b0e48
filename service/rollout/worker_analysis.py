"""What one worker process analyses studies with, for patients and in the shadow."""

from dataclasses import dataclass

from service.analysis.analyst import Analyst
from service.analysis.open_study import Studies
from service.analysis.watchdog import Watchdog
from service.rollout.assignment import Models


@dataclass(frozen=True, slots=True)
class WorkerAnalysis:
    """The analysis, the models that are served, what ends it when it takes too long, and what opens its files."""

    analyst: Analyst
    models: Models
    watchdog: Watchdog
    studies: Studies
