"""Lobes and opacities found at once: the same as one after the other, and whatever ends one ends both."""

from collections.abc import Mapping
from threading import Event, Thread, current_thread, main_thread

import numpy as np
import pytest
from helpers import make_ct

from service.domain.backend_wrapper import BackendWrapper
from service.domain.ct import CT
from service.domain.model_spec import ModelSpec
from service.domain.ports import Array, Backend, unheard
from service.errors import Permanent, Transient
from service.imaging.lungs import Lungs
from service.imaging.read import read_ct
from service.inference.recording_backend import RecordingBackend
from service.pipelines.shared import lobes_and_opacities as module
from service.pipelines.shared.context_opacities import opacities_of
from service.pipelines.shared.lobes import lobes_of
from service.pipelines.shared.lobes_and_opacities import lobes_and_opacities
from service.pipelines.shared.lungs import SliceAnswers, lungs_of, slice_answers
from service.pipelines.shared.model_roles import LOBES, OPACITY_CONTEXT

Given = tuple[CT, SliceAnswers, Lungs]


class Cancelled(Exception):
    """As what the watchdog raises."""


class Waiting(BackendWrapper):
    """Lets a model answer only when the event is set, or what is asked is ended."""

    def __init__(self, backend: Backend, model: str, event: Event) -> None:
        super().__init__(backend)
        self.model, self.event, self.cancelled = model, event, False

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if name == self.model:
            assert self.event.wait(20)
        return self._backend.infer(name, inputs)

    def cancel(self) -> None:
        self.cancelled = True
        self.event.set()


class Refusing(BackendWrapper):
    """A server that refuses the inputs of one model, when it has been asked for the other, which it never answers."""

    def __init__(self, backend: Backend, refused: str, waiting: str) -> None:
        super().__init__(backend)
        self.refused, self.waiting = refused, waiting
        self.asked, self.cancelled = Event(), Event()

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if name == self.refused:
            assert self.asked.wait(20)
            raise Permanent("The model refuses the inputs.")
        if name == self.waiting:
            self.asked.set()
            assert self.cancelled.wait(20)
            raise Transient("The request was cancelled.")
        return self._backend.infer(name, inputs)

    def cancel(self) -> None:
        self.cancelled.set()


class Late(BackendWrapper):
    """Opacities come to their first question only when the lobes have failed; asked: how many they ask."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.asked, self._failed = 0, Event()

    def spec(self, name: str) -> ModelSpec:
        if name == OPACITY_CONTEXT.name and current_thread() is not main_thread():
            assert self._failed.wait(20)
        return self._backend.spec(name)

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if name == LOBES.name:
            raise Transient("The server is away.")
        self.asked += 1
        return self._backend.infer(name, inputs)

    def cancel(self) -> None:
        self._failed.set()


@pytest.fixture(scope="module")
def found(backend: Backend) -> Given:
    ct = read_ct(make_ct.make(slices=44, spacing_mm=5.0, noise_hu=50.0, findings=make_ct.FINDINGS).datasets)
    answers = slice_answers(ct, backend, lambda done: None)
    return ct, answers, lungs_of(ct, answers, backend, lambda done: None)


def test_they_are_as_one_after_the_other_and_told_in_order(found: Given, backend: Backend) -> None:
    ct, answers, lungs = found
    told: list[tuple[str, float]] = []
    lobe_mask, seen = lobes_and_opacities(
        ct.afresh(), answers, lungs, backend, lambda stage, part: told.append((stage, part))
    )
    assert (lobe_mask == lobes_of(ct.afresh(), lungs, backend, unheard)).all()
    alone = opacities_of(ct.afresh(), answers, lungs, backend, lambda done: None)
    assert (seen.opacity == alone.opacity).all() and seen.opacity.any() and seen.reliability == alone.reliability
    assert list(dict.fromkeys(stage for stage, _ in told)) == ["lobes", "opacities"]
    assert told[-1] == ("opacities", 1.0)
    assert (np.diff([part for stage, part in told if stage == "opacities"]) >= 0).all()


def test_opacities_are_asked_for_while_the_lobes_are_awaited(found: Given, backend: Backend) -> None:
    ct, answers, lungs = found
    opacities_came = Event()
    waiting = Waiting(backend, LOBES.name, opacities_came)

    class Signalling(BackendWrapper):
        def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
            if name == OPACITY_CONTEXT.name:
                opacities_came.set()
            return self._backend.infer(name, inputs)

    lobes_and_opacities(ct.afresh(), answers, lungs, Signalling(waiting), unheard)


@pytest.mark.parametrize("stage", ["lobes", "opacities"])
def test_what_progress_raises_ends_both(found: Given, backend: Backend, stage: str) -> None:
    ct, answers, lungs = found
    waiting = Waiting(backend, OPACITY_CONTEXT.name, Event())

    def progress(now: str, _part: float) -> None:
        if now == stage:
            raise Cancelled

    raised: list[BaseException] = []

    def run() -> None:
        try:
            lobes_and_opacities(ct.afresh(), answers, lungs, waiting, progress)
        except Cancelled as error:
            raised.append(error)

    running = Thread(target=run)
    running.start()
    running.join(20)
    assert not running.is_alive() and len(raised) == 1
    assert waiting.cancelled


@pytest.mark.parametrize(
    ("refused", "waiting"), [(LOBES.name, OPACITY_CONTEXT.name), (OPACITY_CONTEXT.name, LOBES.name)]
)
def test_the_first_error_is_raised_and_not_that_of_the_other_which_it_cancelled(
    found: Given, backend: Backend, refused: str, waiting: str
) -> None:
    """A job whose model refuses would else be tried again and again."""
    ct, answers, lungs = found
    with pytest.raises(Permanent, match="refuses"):
        lobes_and_opacities(ct.afresh(), answers, lungs, Refusing(backend, refused, waiting), unheard)


def test_an_error_of_the_opacities_that_no_model_gave_ends_the_lobes_too(
    found: Given, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    ct, answers, lungs = found
    waiting = Waiting(backend, LOBES.name, Event())

    def fail(*_: object) -> None:
        raise Permanent("The grid is too small.")

    monkeypatch.setattr(module, "opacities_of", fail)
    with pytest.raises(Permanent, match="too small"):
        lobes_and_opacities(ct.afresh(), answers, lungs, waiting, unheard)
    assert waiting.cancelled


def test_when_the_lobes_have_failed_nothing_more_is_asked(found: Given, backend: Backend) -> None:
    ct, answers, lungs = found
    late = Late(backend)
    with pytest.raises(Transient, match="away"):
        lobes_and_opacities(ct.afresh(), answers, lungs, late, unheard)
    assert late.asked == 0


def test_a_recording_back_end_sees_the_models_in_one_order(found: Given, backend: Backend) -> None:
    ct, answers, lungs = found
    noting = RecordingBackend(backend)
    lobes_and_opacities(ct.afresh(), answers, lungs, noting, unheard)
    assert list(noting.asked)[:2] == [LOBES.name, OPACITY_CONTEXT.name]
