"""Builds what compares results with earlier ones: of this service's own records, and of an archive."""

import sqlalchemy as sa

from service.analysis.compare_with_prior import Comparer
from service.analysis.own_priors import OwnPriors
from service.domain.ports import Spool
from service.settings import Settings
from service.store.prior_jobs import PriorJobs


def comparer(settings: Settings, engine: sa.Engine, spool: Spool) -> Comparer | None:
    """None where the settings want no comparison."""
    ours = settings.comparison
    return Comparer(OwnPriors(PriorJobs(engine), spool), ours.max_years) if ours.enabled else None
