"""The models that a worker analyses with. It looks whether others are to be served, and takes them: before every study,
and whenever its back end is checked, so that trouble is told before a study comes.

New ones are loaded and checked beside the ones that serve. If an active version does not load, all goes on as it was; a
candidate that does not load gets no study. Whatever a study began with, it ends with.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from sqlalchemy.exc import SQLAlchemyError

from service.domain.ports import Backend
from service.domain.serving import Serving, chosen_for
from service.errors import ThoracleError, Transient
from service.inference.composite_backend import CompositeBackend
from service.inference.files import serving_of, what_is_served
from service.log_once import LogOnce
from service.worker_step import InternalError, worker_step

log = logging.getLogger(__name__)

Make = Callable[[Mapping[str, str], Sequence[Backend]], Backend]
"""A back end that serves these versions, by model name; the second argument: whose loaded models may be used again."""


Told = Callable[[Mapping[str, str], str], None]
"""Is told what is served now, the active version of every model, and in words what could not be taken up."""


@dataclass(frozen=True, slots=True)
class Assigned:
    """What a study is analysed with. active: the active version of every model. others: of the candidates it gets."""

    active: Backend
    others: Mapping[str, Backend] = field(default_factory=dict)

    @property
    def backend(self) -> Backend:
        """With its candidates in place of their active versions."""
        return CompositeBackend(self.active, self.others) if self.others else self.active

    @property
    def candidates(self) -> frozenset[str]:
        """Models that do not serve it in their active version."""
        return frozenset(self.others)


@dataclass(frozen=True, slots=True)
class _Loaded:
    """text: of the files that say what is served, None: to be read again in any case. others: of the candidates.

    again_at: by the clock, when the candidates that are not among them are tried again; None: there are none.
    """

    text: str | None
    serving: Serving
    active: Backend
    others: Mapping[str, Backend] = field(default_factory=dict)
    trouble: str = ""
    again_at: float | None = None


class Models:
    """Safe from any thread. Permanent at construction if an active version does not load."""

    def __init__(
        self,
        repository: Callable[[], Path],
        make: Make,
        told: Told,
        pause_s: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """repository: where it is now; a site's own comes in place of the shipped one while the service runs.

        pause_s: until a candidate that failed is tried again, if nothing else changes before.
        """
        self._repository = repository
        self._make = make
        self._tell_others = told
        self._pause_s = pause_s
        self._clock = clock
        self._looking = Lock()
        self._trouble = LogOnce(log, "not all models can be served as they should: %s", "all models are served again")
        self._told: tuple[Mapping[str, str], str] | None = None
        text = what_is_served(repository())
        self._loaded = self._load(text, serving_of(repository()), None)
        self._tell(self._loaded)

    @property
    def active(self) -> Backend:
        """With the active version of every model."""
        return self._loaded.active

    @property
    def trouble(self) -> str:
        """What could not be taken up, in words; "": nothing."""
        return self._loaded.trouble

    def check(self) -> None:
        """Transient, in words, if the active versions cannot be used now. A candidate that cannot be gets no study."""
        try:
            loaded = self._look()
        except SQLAlchemyError:  # it cannot be told now: nothing changes
            loaded = self._loaded
        loaded.active.check()
        if wrong := _wrong(loaded):
            with self._looking:
                if self._loaded is loaded:
                    left = {name: other for name, other in loaded.others.items() if name not in wrong}
                    trouble = " ".join(filter(None, (loaded.trouble, *wrong.values())))
                    again_at = self._clock() + self._pause_s
                    self._loaded = _Loaded(loaded.text, loaded.serving, loaded.active, left, trouble, again_at)
                    self._trouble.tell(trouble)  # the others hear of it before the next study

    def for_study(self, study_uid: str) -> Assigned:
        """What analyses this study, by what is served now; the same for the same study as long as that stays."""
        loaded = self._look()
        chosen = chosen_for(study_uid, loaded.serving)
        return Assigned(loaded.active, {name: other for name, other in loaded.others.items() if name in chosen})

    def shadows(self) -> dict[str, str]:
        """Version by model name of the candidates that analyse every study beside the active versions."""
        return {
            name: served.candidate.version
            for name, served in self._loaded.serving.items()
            if served.candidate and served.candidate.shadow
        }

    def beside(self, name: str, version: str) -> tuple[Backend, Backend] | None:
        """The active versions, and the same but for this candidate; None if it is in the shadow no more.

        Transient if it cannot be loaded now.
        """
        loaded = self._look()
        if self.shadows().get(name) != version:
            return None
        if name not in loaded.others:
            raise Transient(f"the candidate does not load: {loaded.trouble}")
        return loaded.active, CompositeBackend(loaded.active, {name: loaded.others[name]})

    def _look(self) -> _Loaded:
        with self._looking:
            loaded = self._to_serve()
            self._tell(loaded)
            self._loaded = loaded
            return loaded

    def _to_serve(self) -> _Loaded:
        """What is to be served now, loaded; what served before where that cannot be."""
        before = self._loaded
        try:
            with worker_step():
                return self._newly_loaded(before)
        except (ThoracleError, OSError) as error:  # the models that serve are none the worse for it
            return _Loaded(
                None, before.serving, before.active, before.others, f"{_in_words(error)} The old ones go on."
            )

    def _newly_loaded(self, before: _Loaded) -> _Loaded:
        """What the repository now says is to be served; what serves, where nothing has changed."""
        text = what_is_served(self._repository())
        if text == before.text and (before.again_at is None or self._clock() < before.again_at):
            return before
        loaded = self._load(text, serving_of(self._repository()), before)
        if loaded.active is not before.active:
            loaded.active.check()
        return loaded

    def _load(self, text: str, serving: Serving, before: _Loaded | None) -> _Loaded:
        """before: what serves now; where it is of the same text, only its missing candidates are tried again."""
        versions = {name: served.active for name, served in serving.items()}
        same = before if before and before.text == text else None
        there = [before.active, *before.others.values()] if before else []
        active = same.active if same else self._make(versions, there)
        others, wrong = dict(same.others) if same else {}, []
        for name, served in serving.items():
            if served.candidate and name not in others:
                try:
                    with worker_step():
                        other = self._make(versions | {name: served.candidate.version}, [active, *there])
                        other.check()
                        others[name] = other
                except (ThoracleError, OSError) as error:  # a broken candidate must harm nothing
                    wrong.append(_of_candidate(name, served.candidate.version, error))
        again_at = self._clock() + self._pause_s if wrong else None
        return _Loaded(text, serving, active, others, " ".join(wrong), again_at)

    def _tell(self, loaded: _Loaded) -> None:
        """Once; what they raise comes before anything changes."""
        versions = {name: served.active for name, served in loaded.serving.items()}
        if self._told != (versions, loaded.trouble):
            self._tell_others(versions, loaded.trouble)
            self._told = versions, loaded.trouble
            log.info("models served: %s", ", ".join(f"{name} {v}" for name, v in versions.items() if v))
        self._trouble.tell(loaded.trouble)


def _wrong(loaded: _Loaded) -> dict[str, str]:
    """What is wrong with candidates that cannot be used now, in words, by model name."""
    wrong = {}
    for name, other in loaded.others.items():
        try:
            with worker_step():
                other.check()
        except (ThoracleError, OSError) as error:  # a broken candidate must harm nothing
            wrong[name] = _of_candidate(name, other.spec(name).version, error)
    return wrong


def _of_candidate(name: str, version: str, error: Exception) -> str:
    return f"candidate {name} version {version}: {_in_words(error)}"


def _in_words(error: Exception) -> str:
    """Returns what is wrong; no study is at hand, so that the text of any error may be shown."""
    cause = error.cause if isinstance(error, InternalError) else error
    return str(cause) if isinstance(cause, ThoracleError) else f"{type(cause).__name__}: {cause}."
