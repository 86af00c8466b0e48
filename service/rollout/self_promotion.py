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
from service.store.shadows import Shadow
from service.worker_step import InternalError, worker_step

log = logging.getLogger(__name__)

_EVERY_S = 60.0
_AFTER_A_REFUSAL = timedelta(hours=1)

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class PromotionLimits:
    """The limits within which a version may take the active one's place.

    studies: so many of the latest studies in its trial count, and every analysis of each has to be within the limits.
    min_dice: of every label; one that differs by less than `parity.SLACK_ML` passes. headline_change: the greatest
    change by pipeline, in the headline's unit; a pipeline that is not named allows none. never: names of models that
    are promoted by a person only.
    """

    studies: int
    min_dice: float
    headline_change: Mapping[str, float] = field(default_factory=dict)
    never: frozenset[str] = frozenset()


class Actions(Protocol):
    """The part of `rollout.model_actions.ModelActions` that is needed here."""

    def in_shadow_since(self, name: str, version: str) -> datetime | None: ...

    def latest_studies(self, name: str, version: str, since: datetime, studies: int) -> Sequence[Row]: ...

    def promote(self, name: str, version: str | None, by: str, *, because: str, judged: Served) -> object: ...


class SelfPromotion(PeriodicTask):
    """A thread in the process that operators ask; of several such processes one looks.

    repository: returns where it is now. leads: returns whether this process is the one that looks. who: is named in the
    audit trail.
    """

    def __init__(
        self,
        actions: Actions,
        repository: Callable[[], Path],
        leads: Callable[[], bool],
        limits: PromotionLimits,
        who: str,
        clock: Callable[[], datetime],
    ) -> None:
        super().__init__("self-promotion", _EVERY_S)
        self._actions = actions
        self._repository = repository
        self._leads = leads
        self._limits = limits
        self._who = who
        self._clock = clock
        self._not_before: dict[tuple[str, str], datetime] = {}
        self._said: dict[str, str] = {}
        self._trouble = LogOnce(log, "candidates are not looked at: %s", "candidates are looked at again")

    def _look(self) -> None:
        try:
            with worker_step(SQLAlchemyError):
                self._consider_all()
            self._trouble.tell("")
        except InternalError as error:
            self._trouble.tell(f"{error}\n{error.where}", error.kind)
        except (ThoracleError, SQLAlchemyError, OSError) as error:
            self._trouble.tell(str(error) if isinstance(error, ThoracleError) else type(error).__name__)

    def _consider_all(self) -> None:
        if not self._leads():
            return
        for name, served in serving_of(self._repository()).items():
            if served.candidate is not None and served.candidate.shadow:
                self._consider(name, served, served.candidate.version)

    def _consider(self, name: str, served: Served, version: str) -> None:
        again_at = self._not_before.get((name, version))
        if again_at is not None and self._clock() < again_at:
            return
        why_not = self._why_not(name, served, version)
        if why_not:
            self._say(name, f"version {version} stays in the shadow: {why_not}")
            return
        because = f"its latest {self._limits.studies} studies in the shadow are within the limits of this site"
        try:
            self._actions.promote(name, version, self._who, because=because, judged=served)
        except ThoracleError as error:  # the audit trail has it
            log.error("%s version %s was not promoted: %s", name, version, error)
            self._not_before[name, version] = self._clock() + _AFTER_A_REFUSAL
        else:
            self._say(name, f"version {version} is active: {because}")

    def _why_not(self, name: str, served: Served, version: str) -> str:
        if name in self._limits.never:
            return "a person promotes this model"
        since = self._actions.in_shadow_since(name, version)
        if since is None:
            return "the audit trail does not say since when it has been there"
        rows = self._actions.latest_studies(name, version, since, self._limits.studies)
        return why_not(name, served.active, rows, self._limits)

    def _say(self, name: str, what: str) -> None:
        if self._said.get(name) != what:
            log.info("%s %s", name, what)
            self._said[name] = what


def why_not(name: str, active: str, rows: Sequence[Row], limits: PromotionLimits) -> str:
    """Returns why these comparisons with the active version do not let the candidate be promoted; "" if they do.

    rows: every analysis of the candidate's latest studies that ended, as `store.shadows` returns them: a study counts
    once, however often it was analysed, and what failed is not within the limits.
    """
    found = next((why for row in rows if (why := _outside(name, active, row, limits))), "")
    if found:
        return found
    enough = len({row["study_uid"] for row in rows}) >= limits.studies
    return "" if enough else f"fewer than {limits.studies} studies of this trial have ended"


def _outside(name: str, active: str, row: Row, limits: PromotionLimits) -> str:
    """Returns what puts one analysis outside of the limits, "" if nothing does."""
    document = row["document"]
    if row["state"] != Shadow.COMPARED or document is None:
        return f"it failed on job {row['job_id']}"
    where = f"job {row['job_id']}, {document['pipeline']}"
    if not any((one["name"], one["version"]) == (name, active) for one in document["reference"]):
        return f"{where}: compared with another version than the active one"
    if document.get("classified", True):  # what was compared before this was noted may be
        return f"{where}: a classification is not compared"
    found = document["difference"]
    for label, values in found["labels"].items():
        one = LabelDifference(values["dice"], values["reference_ml"], values["candidate_ml"])
        if one.dice < limits.min_dice and one.differing_ml >= SLACK_ML:
            return f"{where}: Dice of {label} is {one.dice:.3f}"
    for score, pair in found["scores"].items():
        if pair["reference"] != pair["candidate"]:
            return f"{where}: the score {score} differs"
    before, after = found["headline"]["reference"], found["headline"]["candidate"]
    if before is None or after is None:
        return "" if before is after else f"{where}: one headline has no value"
    most = limits.headline_change.get(document["pipeline"], 0.0)
    return "" if abs(after - before) <= most else f"{where}: the headline changed by {after - before:+g}"
