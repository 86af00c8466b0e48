"""Operators' actions on models, from the command line or the API. The workers take it up with the next study.

Who wants what with an installed model is in the audit trail, refusals too. A version passes the acceptance check before
it gets any study.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from service.domain.model_spec import ModelSpec
from service.domain.ports import Progress, unheard
from service.domain.serving import (
    OFF,
    NoSuchModel,
    Rule,
    Served,
    as_judged,
    canary,
    promote,
    rollback,
    shadow,
    withdraw,
)
from service.errors import Permanent
from service.imaging.difference import Difference
from service.inference import repository
from service.inference.files import digest_of, model_folders
from service.inference.installed_models import Installed, installed, served_of
from service.inference.model_trial import checking
from service.store.audit import Audit
from service.store.shadows import LIMIT, Shadows

if TYPE_CHECKING:
    from service.rollout.acceptance import Acceptance


@dataclass(frozen=True, slots=True)
class Changed:
    """served: of the model, now. difference: from what was active before, None where there was no acceptance check
    or nothing to compare with."""

    served: Served
    difference: Difference | None = None


class ModelActions:
    """by: who wants it. Every change: Permanent, in words, and nothing is changed, if it cannot be done.

    progress: is told of the acceptance check, which takes a minute.
    """

    def __init__(
        self,
        seen: Callable[[], Path],
        root: Callable[[], Path],
        acceptance: Callable[[], "Acceptance"],
        audit: Audit,
        shadows: Shadows,
    ) -> None:
        """seen: the repository that is served. root: the one that may be changed; Permanent if there is none yet.

        acceptance: builds the check; called when a version has to pass it, or when a model would be left without one.
        """
        self._seen = seen
        self._root = root
        self._acceptance = acceptance
        self._audit = audit
        self._shadows = shadows

    def add(self, model: bytes, spec: ModelSpec, by: str) -> ModelSpec:
        """Install a model file that was tried; what is served stays."""
        with self._audit.entry(by, "add", spec.name, version=spec.version, source=spec.source) as detail:
            done = repository.add(self._root(), model)
            detail["sha256"] = done.sha256
            return done

    def canary(self, name: str, version: str, share: float, by: str, progress: Progress = unheard) -> Changed:
        """The version analyses a share of the studies, above 0 and up to 1."""
        with self._entry(by, "canary", name, version, share=share) as detail:
            return self._checked(name, version, canary(version, share), by, detail, progress)

    def shadow(self, name: str, version: str, by: str, progress: Progress = unheard) -> Changed:
        """The version analyses every study beside the active one; nobody is shown its results."""
        with self._entry(by, "shadow", name, version) as detail:
            return self._checked(name, version, shadow(version), by, detail, progress)

    def promote(
        self,
        name: str,
        version: str | None,
        by: str,
        progress: Progress = unheard,
        *,
        because: str | None = None,
        judged: Served | None = None,
    ) -> Changed:
        """The version, or the candidate, becomes the active one.

        because: for the audit trail. judged: refused where something else is active or on trial by then.
        """
        chosen = version or self._served(name).on_trial
        with self._entry(by, "promote", name, chosen, because=because) as detail:
            rule = promote(chosen) if judged is None else as_judged(judged, promote(chosen))
            return self._checked(name, chosen or OFF, rule, by, detail, progress)

    def rollback(self, name: str, by: str) -> Changed:
        """The version before is active again, at once: it has analysed patients' CTs already."""
        with self._entry(by, "rollback", name, self._served(name).previous) as detail:
            return Changed(self._change(name, rollback, detail))

    def withdraw(self, name: str, by: str) -> Changed:
        """The candidate gets no study any more."""
        with self._entry(by, "withdraw", name, self._served(name).on_trial) as detail:
            return Changed(self._change(name, withdraw, detail))

    def remove(self, name: str, version: str | None, by: str) -> ModelSpec | None:
        """Remove a version, the active one unless named; the spec that is active now, None if none is."""
        chosen = version or self._served(name).active or None
        with self._entry(by, "remove", name, chosen) as detail:
            active = repository.remove(self._root(), name, chosen, lambda: self._required(name))
            detail["after"] = self._standing(name, self._served(name))
            return active

    def installed(self) -> list[Mapping[str, Any]]:
        """Every version of every model, and what is served of it."""
        return described(self._seen())

    def compared(self, name: str, version: str | None = None, limit: int = LIMIT) -> list[Mapping[str, Any]]:
        """What shadow analyses of a model's candidates found, or of one, the latest first; at most so many."""
        return self._shadows.of(name, version, limit)

    def in_shadow_since(self, name: str, version: str) -> datetime | None:
        """When the version was last put into the shadow; None if never."""
        return self._audit.last("shadow", name, version)

    def latest_studies(self, name: str, version: str, since: datetime, studies: int) -> list[Mapping[str, Any]]:
        """What shadow analyses of the version's latest studies found, as `store.shadows` has it."""
        return self._shadows.latest_studies(name, version, since, studies)

    def history(self, name: str) -> list[Mapping[str, Any]]:
        """The audit trail of one model, the latest first."""
        return self._audit.entries(name)

    def _checked(
        self, name: str, version: str, rule: Rule, by: str, detail: dict[str, Any], progress: Progress
    ) -> Changed:
        root = self._root()
        rule(served_of(root, name))  # what makes no sense is refused before the check's minute
        with checking(root, name, version, by):
            passed = self._acceptance().check(root, name, version, progress)
        detail["sha256"] = passed.sha256
        if passed.difference:
            worst = round(passed.difference.worst_dice, 4)
            detail |= {"worst_dice": worst, "headline_change": passed.difference.headline_change}

        def of_what_passed(served: Served) -> Served:
            if digest_of(root, name, version) != passed.sha256:
                raise Permanent(f"{name} version {version} is another file than the one that passed.")
            return rule(served)

        return Changed(self._change(name, of_what_passed, detail), passed.difference)

    def _change(self, name: str, rule: Rule, detail: dict[str, Any]) -> Served:
        def noted(served: Served) -> Served:
            detail["before"] = self._standing(name, served)  # it may have changed since the entry was written
            return rule(served)

        changed = repository.change(self._root(), name, noted, lambda: self._required(name))
        detail["after"] = self._standing(name, changed)
        return changed

    @contextmanager
    def _entry(self, by: str, what: str, name: str, version: str | None, **asked: Any) -> Iterator[dict[str, Any]]:
        """Of the audit trail, for a model that there is; else NoSuchModel.

        version: the one that is wanted, or is to go; `before`, `after`: what is served then.
        """
        names = [folder.name for folder in model_folders(self._seen())]
        if name not in names:  # of which there is no end, and nothing to tell later
            raise NoSuchModel(f"There is no model {name} in {self._seen()}; there are {', '.join(names)}.")
        before = self._standing(name, self._served(name))
        sha256 = self._digest(name, version) if version else None
        with self._audit.entry(by, what, name, version=version, sha256=sha256, before=before, **asked) as detail:
            yield detail

    def _required(self, name: str) -> bool:
        return name in self._acceptance().required

    def _served(self, name: str) -> Served:
        """Nothing, where it cannot be told: the change says why."""
        try:
            return served_of(self._root(), name)
        except (Permanent, OSError):
            return Served(OFF)

    def _standing(self, name: str, served: Served) -> dict[str, Any]:
        """What is served, for the audit trail."""
        candidate = served.candidate and {
            "version": served.candidate.version,
            "sha256": self._digest(name, served.candidate.version),
            "share": served.candidate.share,
            "shadow": served.candidate.shadow,
        }
        active = {"version": served.active, "sha256": self._digest(name, served.active)} if served.active else None
        return {"active": active, "candidate": candidate}

    def _digest(self, name: str, version: str) -> str | None:
        try:
            return digest_of(self._root(), name, version)
        except Permanent:
            return None


def described(root: Path) -> list[Mapping[str, Any]]:
    """Every version of every model in a repository, and what is served of it."""
    return [_described(one) for one in installed(root)]


def _described(one: Installed) -> dict[str, Any]:
    candidate = one.served.candidate if one.state == "candidate" else None
    return {
        "name": one.spec.name,
        "version": one.spec.version,
        "sha256": one.spec.sha256,
        "source": one.spec.source,
        "licence": one.spec.licence,
        "state": one.state,
        "share": candidate.share if candidate else None,
        "shadow": candidate.shadow if candidate else None,
    }
