"""Builds what compares results with earlier ones: of this service's own records, and of an archive."""

from collections.abc import Callable
from functools import partial

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from service.analysis.archive_priors import ArchivePriors
from service.analysis.compare_with_prior import Comparer
from service.analysis.own_priors import OwnPriors
from service.analysis.priors import Priors, Several
from service.composition.destinations import peer, web_node
from service.domain.audit_event import Participant
from service.domain.ports import Spool
from service.errors import Transient
from service.settings import Settings, WebDestination
from service.store.engine import in_words
from service.store.prior_jobs import PriorJobs


def comparer(
    settings: Settings, engine: sa.Engine, spool: Spool, asking: Callable[[str, Participant], None]
) -> Comparer | None:
    """None where the settings want no comparison. asking: hears of each question to the archive before it is asked,
    with the UID of the study that is analysed."""
    ours = settings.comparison
    if not ours.enabled:
        return None
    sources: list[Priors] = [OwnPriors(PriorJobs(engine), spool)]
    destination = settings.destinations.get(ours.archive or "")
    if isinstance(destination, WebDestination):
        whom, node = peer(destination), web_node(str(ours.archive), destination)
        sources.append(ArchivePriors(node, ours.archive_within_s, ours.max_years, partial(_tell, asking, whom)))
    return Comparer(Several(sources), ours.max_years)


def _tell(asking: Callable[[str, Participant], None], whom: Participant, study_uid: str) -> None:
    """Transient if it cannot be kept now: the analysis is done again."""
    try:
        asking(study_uid, whom)
    except SQLAlchemyError as error:
        raise Transient(in_words(error)) from error
