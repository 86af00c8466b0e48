"""What a worker does: find complete studies, walk each along the one path, deliver its results."""

from service.worker.analyst import Analyst, Outcome
from service.worker.runner import Destination, Runner
from service.worker.sweeper import Sweeper

__all__ = ["Analyst", "Destination", "Outcome", "Runner", "Sweeper"]
