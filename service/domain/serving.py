"""Chooses the version of a model that analyses a study, and changes which versions are served.

    installed → candidate → active → previous

One version of each model is active. Another one may be its candidate: it gets a share of the studies (canary), or
analyses beside the active one without anybody being shown its results (shadow), or both. A change that makes no sense
is refused in words, and nothing changes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256

from service.errors import Permanent


class NoSuchModel(Permanent, LookupError):
    """There is no model of this name."""


OFF = ""
"""In place of a version: the pipeline does without this model."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version on trial. share: part of the studies that it analyses, 0 to 1; shadow: beside the active version."""

    version: str
    share: float = 0.0
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class Served:
    """What is served of one model. previous: what a rollback returns to, None if there is nothing to return to."""

    active: str
    previous: str | None = None
    candidate: Candidate | None = None

    @property
    def on_trial(self) -> str | None:
        """The version of the candidate, None if there is none."""
        return self.candidate.version if self.candidate else None

    def state_of(self, version: str) -> str:
        """In one word for people: active, candidate, previous, or installed."""
        if version == self.active:
            return "active"
        if self.candidate and version == self.candidate.version:
            return "candidate"
        return "previous" if version == self.previous else "installed"


Serving = Mapping[str, Served]
"""By model name."""

Rule = Callable[[Served], Served]
"""A change of what is served; Permanent, in words, if it makes no sense."""


def canary(version: str, share: float) -> Rule:
    """The version analyses a share of the studies, above 0 and up to 1."""
    if not 0.0 < share <= 1.0:
        raise Permanent(f"A share lies above 0 and is at most 1, not {share:g}; withdraw ends a trial.")
    return lambda served: replace(served, candidate=replace(_on_trial(served, version), share=share))


def shadow(version: str) -> Rule:
    """The version analyses every study beside the active one."""
    return lambda served: replace(served, candidate=replace(_on_trial(served, version), shadow=True))


def promote(version: str | None = None) -> Rule:
    """The version, or the candidate, becomes the active one."""

    def rule(served: Served) -> Served:
        if version is None and served.candidate is None:
            raise Permanent("There is no candidate; name the version.")
        chosen = _on_trial(served, version or (served.candidate.version if served.candidate else OFF))
        return Served(chosen.version, previous=served.active)

    return rule


def as_judged(judged: Served, rule: Rule) -> Rule:
    """The rule, if what is active and on trial is still what was judged: an operator may have changed it meanwhile."""

    def checked(served: Served) -> Served:
        if (served.active, served.candidate) != (judged.active, judged.candidate):
            raise Permanent("What is served was changed since it was judged.")
        return rule(served)

    return checked


def rollback(served: Served) -> Served:
    """The version before is active again; a trial ends."""
    if served.previous is None:
        raise Permanent("There is no earlier version to go back to; promote names one.")
    return Served(served.previous)


def withdraw(served: Served) -> Served:
    """The trial ends; the active version stays."""
    if served.candidate is None:
        raise Permanent("There is no candidate.")
    return replace(served, candidate=None)


def without(served: Served, version: str) -> Served:
    """After a version was removed: if it was active, the previous one is. Permanent if there is none to go back to."""
    candidate = None if served.candidate and served.candidate.version == version else served.candidate
    previous = None if served.previous == version else served.previous
    if served.active != version:
        return Served(served.active, previous, candidate)
    if previous is None:
        raise Permanent(f"Version {version} is active, and none was before it: promote another one first.")
    return Served(previous)


def chosen_for(study_uid: str, serving: Serving) -> frozenset[str]:
    """Names of the models whose candidate analyses this study: the same ones whenever it is asked."""
    return frozenset(
        name for name, served in serving.items() if served.candidate and place(study_uid, name) < served.candidate.share
    )


def place(study_uid: str, model: str) -> float:
    """Where a study stands between 0 and 1 (exclusive), for this model: evenly spread, and always the same."""
    digest = sha256(f"{model}\0{study_uid}".encode()).digest()
    return int.from_bytes(digest[:6]) / 2**48


def _on_trial(served: Served, version: str) -> Candidate:
    """The candidate, which this version is or may become."""
    if version == served.active:
        raise Permanent(f"Version {version} is active already.")
    if served.candidate and served.candidate.version != version:
        raise Permanent(f"Version {served.candidate.version} is the candidate: promote or withdraw it first.")
    return served.candidate or Candidate(version)
