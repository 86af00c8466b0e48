"""What a worker does: find complete studies, walk each along the one path, deliver its results."""

from service.worker.analyst import Analyst, Outcome
from service.worker.delivery import Courier, Destination, keep_report
from service.worker.janitor import Janitor
from service.worker.models import Models
from service.worker.runner import Runner
from service.worker.shadow import Shadower
from service.worker.study import Studies
from service.worker.sweeper import Sweeper

__all__ = [
    "Analyst",
    "Courier",
    "Destination",
    "Janitor",
    "Models",
    "Outcome",
    "Runner",
    "Shadower",
    "Studies",
    "Sweeper",
    "keep_report",
]
