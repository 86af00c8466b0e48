"""What a worker does: find complete studies, walk each along the one path, deliver its results."""

from service.worker.analyst import Analyst, Outcome
from service.worker.delivery import Courier, Destination, keep_report
from service.worker.janitor import Janitor
from service.worker.runner import Runner
from service.worker.sweeper import Sweeper

__all__ = ["Analyst", "Courier", "Destination", "Janitor", "Outcome", "Runner", "Sweeper", "keep_report"]
