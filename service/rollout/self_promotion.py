"""Lets a version that analyses in the shadow become the active one by itself, where the site's limits allow it.

Off unless the site sets limits. The version passes the acceptance check like any other, the audit trail names the
service as who promoted it, and `thoracle models rollback` goes back. Whatever cannot be told keeps it in the shadow.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy.exc import SQLAlchemyError

from service.domain.serving import Served
from service.errors import ThoracleError
from service.imaging.difference import LabelDifference
from service.inference.files import serving_of
from service.log_once import LogOnce
from service.periodic_task import PeriodicTask
from service.rollout.parity import SLACK_ML
from service.store.audit import DONE
from service.store.shadows import Shadow

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_AFTER_A_REFUSAL = timedelta(hours=1)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PromotionLimits:
    """Within which a version may take the active one's place.

    studies: so many of its latest shadow analyses count, and every one has to be within the limits. min_dice: of every
    label; one that differs by less than `parity.SLACK_ML` passes. headline_change: the greatest by pipeline, in the
    headline's unit; a pipeline that is not named allows none.
    """

    studies: int
    min_dice: float
    headline_change: Mapping[str, float] = field(default_factory=dict)


class Actions(Protocol):
    """What is asked of `rollout.model_actions.ModelActions`."""

    def compared(self, name: str, version: str | None = None) -> Sequence[Row]: ...

    def history(self, name: str) -> Sequence[Row]: ...

    def promote(self, name: str, version: str | None, by: str, *, because: str) -> object: ...


class SelfPromotion(PeriodicTask):
    """One thread in the process that operators ask.

    repository: where it is now. who: named in the audit trail.
    """

    def __init__(
        self,
        actions: Actions,
        repository: Callable[[], Path],
        limits: PromotionLimits,
        who: str,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__("self-promotion", _EVERY_S)
        self._actions = actions
        self._repository = repository
        self._limits = limits
        self._who = who
        self._clock = clock
        self._not_before: dict[tuple[str, str], datetime] = {}
        self._trouble = LogOnce(log, "candidates are not looked at: %s", "candidates are looked at again")

    def _look(self) -> None:
        try:
            for name, served in serving_of(self._repository()).items():
                if served.candidate is not None and served.candidate.shadow:
                    self._consider(name, served, served.candidate.version)
            self._trouble.tell("")
        except (ThoracleError, SQLAlchemyError, OSError) as error:
            self._trouble.tell(str(error) if isinstance(error, ThoracleError) else type(error).__name__)

    def _consider(self, name: str, served: Served, version: str) -> None:
        again_at = self._not_before.get((name, version))
        if again_at is not None and self._clock() < again_at:
            return
        rows = self._actions.compared(name, version)
        if not in_limits(name, served.active, _since(self._actions.history(name), version, rows), self._limits):
            return
        because = f"its latest {self._limits.studies} studies in the shadow are within the limits of this site"
        try:
            self._actions.promote(name, version, self._who, because=because)
        except ThoracleError as error:  # the audit trail has it
            log.error("%s version %s was not promoted: %s", name, version, error)
            self._not_before[name, version] = self._clock() + _AFTER_A_REFUSAL
        else:
            log.info("%s version %s is active: %s", name, version, because)


def in_limits(name: str, active: str, rows: Sequence[Row], limits: PromotionLimits) -> bool:
    """Returns whether the latest comparisons with the active version are enough, and all within the limits.

    rows: of the candidate, the latest first, as `store.shadows` returns them. What is still to be analysed and what was
    withdrawn does not count; what failed does, and is not within.
    """
    ended = [row for row in rows if row["state"] in (Shadow.COMPARED, Shadow.FAILED)][: limits.studies]
    return len(ended) == limits.studies and all(_is_within(name, active, row["document"], limits) for row in ended)


def _since(history: Sequence[Row], version: str, rows: Sequence[Row]) -> list[Row]:
    """Comparisons since an operator last put the version into the shadow: of an earlier trial none counts."""
    begun = (
        entry["at"]
        for entry in history
        if (entry["what"], entry["outcome"], entry["detail"].get("version")) == ("shadow", DONE, version)
    )
    at = next(begun, None)
    return [] if at is None else [row for row in rows if row["at"] >= at]


def _is_within(name: str, active: str, document: Row | None, limits: PromotionLimits) -> bool:
    if document is None:
        return False
    if not any((one["name"], one["version"]) == (name, active) for one in document["reference"]):
        return False
    found = document["difference"]
    for label in found["labels"].values():
        one = LabelDifference(label["dice"], label["reference_ml"], label["candidate_ml"])
        if one.dice < limits.min_dice and one.differing_ml >= SLACK_ML:
            return False
    before, after = found["headline"]["reference"], found["headline"]["candidate"]
    if before is None or after is None:
        return before is after
    return bool(abs(after - before) <= limits.headline_change.get(document["pipeline"], 0.0))
