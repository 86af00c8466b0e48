"""Opacities seen in windows are those of the whole plane, where the network looks at each pixel alone."""

from collections.abc import Mapping

import numpy as np
import pytest
from helpers import make_ct, tiny_models
from numpy.typing import NDArray

from service.domain.ct import CT
from service.domain.model_spec import ModelSpec, TensorSpec
from service.domain.ports import Array, Backend
from service.imaging.boxes import bounds
from service.imaging.lungs import Lungs
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.shared import context_opacities
from service.pipelines.shared.context_opacities import opacities_of
from service.pipelines.shared.lungs import SliceAnswers, lungs_of, slice_answers

pytestmark = pytest.mark.slow

REACH = 5
Given = tuple[CT, SliceAnswers, Lungs, Backend]


def probability(hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Rises with HU around that of the phantom's lung, so that noise makes opacity everywhere, at every edge too."""
    rising = 1 / (1 + np.exp(-(hu.astype(np.float32).clip(-1000, 0) + 880) / 60))
    return np.rint(255 * rising * (hu < -50)).astype(np.uint8)


class Pixelwise:
    """Answers by `probability`; of the other models those of the tests."""

    concurrency = 2

    def __init__(
        self, others: Backend, window: tuple[int, int], asked: int, spacing_mm: float, slice_mm: float
    ) -> None:
        self._others, self.calls = others, 0
        axes = ("s", "r", "c")
        self._spec = ModelSpec(
            "opacity-context",
            "1",
            (TensorSpec("hu", "int16", (asked + 2 * REACH, *window), axes),),
            (TensorSpec("p", "uint8", (2, asked, *window), ("lung, opacity", *axes)),),
            1,
            spacing_mm,
            thresholds={"lung": 0.5, "opacity": 0.5},
            layout="slice-stacks",
            slice_mm=slice_mm,
            sha256=f"{window} {asked} {spacing_mm} {slice_mm}",
        )

    def has(self, name: str) -> bool:
        return self._others.has(name)

    def spec(self, name: str) -> ModelSpec:
        return self._spec if name == self._spec.name else self._others.spec(name)

    def infer(self, _name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.calls += 1
        found = probability(inputs["hu"][0, REACH:-REACH])
        return {"p": np.stack([found, found])[None]}

    def cancel(self) -> None: ...


def of_the_whole_plane(hu: NDArray[np.int16], lungs: NDArray[np.bool_], *_: object, **__: object) -> NDArray[np.uint8]:
    """In place of `infer_stacks`: all pixels of the slices from the first to the last with lung."""
    said, slices = np.zeros((2, *hu.shape), np.uint8), bounds(lungs, (0, 0, 0))[0]
    said[:, slices] = probability(hu[slices])
    return said


@pytest.fixture(scope="module", params=[(88, 2.5), (170, 1.25)], ids=["2.5 mm", "1.25 mm"])
def given(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Given:
    count, slice_mm = request.param
    others = OnnxBackend(tiny_models.repository(tmp_path_factory.mktemp("models") / "own"), 1)
    ct = read_ct(make_ct.make(slices=count, spacing_mm=slice_mm, noise_hu=60.0, findings=make_ct.FINDINGS).datasets)
    answers = slice_answers(ct, others, lambda done: None)
    return ct, answers, lungs_of(ct, answers, others, lambda done: None), others


@pytest.mark.parametrize(
    ("window", "asked", "spacing_mm", "slice_mm"),
    [((32, 48), 3, 3.2, 2.5), ((64, 48), 12, 1.5, 2.5), ((400, 300), 4, 1.5, 5.0), ((16, 16), 12, 3.2, 1.25)],
)
def test_no_opacity_in_the_lungs_is_lost_or_added(
    given: Given,
    window: tuple[int, int],
    asked: int,
    spacing_mm: float,
    slice_mm: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ct, answers, lungs, others = given
    backend = Pixelwise(others, window, asked, spacing_mm, slice_mm)
    seen = opacities_of(ct.afresh(), answers, lungs, backend, lambda done: None)  # type: ignore[arg-type]
    assert backend.calls > 1 and seen.opacity.any()
    monkeypatch.setattr(context_opacities, "infer_stacks", of_the_whole_plane)
    whole = opacities_of(ct.afresh(), answers, lungs, backend, lambda done: None)  # type: ignore[arg-type]
    assert (seen.opacity == whole.opacity).all()
    assert seen.reliability == whole.reliability
