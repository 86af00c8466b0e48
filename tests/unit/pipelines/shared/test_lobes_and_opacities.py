"""Lobes and opacities found at once: the same as one after the other, and whatever ends one ends both."""

from collections.abc import Mapping
from threading import Event, Thread, get_ident

import numpy as np
import pytest
from helpers import make_ct, tiny_models

from service.domain.ct import CT
from service.domain.ports import Array, Backend, unheard
from service.errors import Transient
from service.imaging.lungs import Lungs
from service.imaging.read import read_ct
from service.inference.backend_wrapper import BackendWrapper
from service.inference.onnx import OnnxBackend
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


class Away(BackendWrapper):
    """A model that cannot be asked."""

    def __init__(self, backend: Backend, model: str) -> None:
        super().__init__(backend)
        self.model = model

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if name == self.model:
            raise Transient("The server is away.")
        return self._backend.infer(name, inputs)


@pytest.fixture(scope="module")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Backend:
    root = tiny_models.repository(tmp_path_factory.mktemp("models") / "own")
    tiny_models.serve(root, tiny_models.lobes(), tiny_models.LOBES)
    return OnnxBackend(root, 1)


@pytest.fixture(scope="module")
def found(backend: Backend) -> Given:
    ct = read_ct(make_ct.make(slices=44, spacing_mm=5.0, noise_hu=50.0, findings=make_ct.FINDINGS).datasets)
    answers = slice_answers(ct, backend, lambda done: None)
    return ct, answers, lungs_of(ct, answers, backend, lambda done: None)


def test_they_are_as_one_after_the_other_and_told_in_the_caller_s_thread(found: Given, backend: Backend) -> None:
    ct, answers, lungs = found
    told: list[tuple[str, float, int]] = []
    lobe_mask, seen = lobes_and_opacities(
        ct.afresh(), answers, lungs, backend, lambda stage, part: told.append((stage, part, get_ident()))
    )
    assert (lobe_mask == lobes_of(ct.afresh(), lungs, backend, unheard)).all()
    alone = opacities_of(ct.afresh(), answers, lungs, backend, lambda done: None)
    assert (seen.opacity == alone.opacity).all() and seen.opacity.any() and seen.reliability == alone.reliability
    assert {thread for *_, thread in told} == {get_ident()}
    assert list(dict.fromkeys(stage for stage, *_ in told)) == ["lobes", "opacities"]
    assert told[-1][:2] == ("opacities", 1.0)
    assert (np.diff([part for stage, part, _ in told if stage == "opacities"]) >= 0).all()


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


@pytest.mark.parametrize("model", [LOBES.name, OPACITY_CONTEXT.name])
def test_the_error_of_either_passes_through(found: Given, backend: Backend, model: str) -> None:
    ct, answers, lungs = found
    with pytest.raises(Transient, match="away"):
        lobes_and_opacities(ct.afresh(), answers, lungs, Away(backend, model), unheard)
