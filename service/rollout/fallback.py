"""Falls back to the active versions where a candidate fails, or refuses a study that the active versions analyse.

A candidate may also take the process with it. Then the run before did not end, and it is not asked again.
"""

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from service.analysis.analyst import Outcome
from service.analysis.watched_run import Unwanted
from service.domain.ports import Backend
from service.errors import Reason, ThoracleError
from service.rollout.assignment import Assigned
from service.worker_step import worker_step

_UNFINISHED = "the run before did not end; its process may have died of it"


def analyse_with_fallback(assigned: Assigned, analyse: Callable[[Backend], Outcome], unfinished: bool) -> Outcome:
    """Analyse with the candidates, else with the active versions; what these raise passes through.

    unfinished: an earlier run of this analysis began and did not end.
    """
    if not assigned.others:
        return analyse(assigned.active)
    if unfinished:
        return replace(analyse(assigned.active), without=dict.fromkeys(assigned.others, _UNFINISHED))
    try:
        with worker_step(SQLAlchemyError):
            outcome = analyse(assigned.backend)
    except Unwanted:
        raise  # no model's fault
    except ThoracleError as error:
        return replace(analyse(assigned.active), without=dict.fromkeys(assigned.others, str(error)))
    if refusing := [one.name for one in outcome.asked if one.name in assigned.others]:
        usual = analyse(assigned.active)
        # Where the headers decide, both refuse it.
        reasons = {refusal.reason for refusal in outcome.refusals.get(usual.series_uid or "", ())} - {Reason.NOT_CHOSEN}
        if reasons:
            why = f"it refuses what the active version analyses: {', '.join(sorted(reasons))}"
            return replace(usual, without=dict.fromkeys(refusing, why))
    return replace(outcome, candidates=assigned.candidates)
