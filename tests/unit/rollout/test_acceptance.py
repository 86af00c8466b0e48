"""The gate between two back ends: rounding passes; black, constant and broken answers do not, and are named."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from helpers import evidence_samples, half_precision, make_ct, tiny_models
from onnx import TensorProto, helper, numpy_helper
from pydicom import dcmread

from service.domain.analysis import Analysis
from service.domain.ct import CT
from service.domain.model_roles import Role
from service.domain.model_spec import ModelSpec
from service.domain.ports import Array, Backend, Progress
from service.errors import Permanent, Reason, Refusal, Rejected
from service.imaging.read import read_ct
from service.inference import repository
from service.inference.files import embedded
from service.inference.onnx import OnnxBackend
from service.pipelines.covid_severity.pipeline import CovidSeverity
from service.pipelines.shared.model_roles import LOBES, LUNG_OPACITY
from service.pipelines.shared.slices import views_of
from service.rollout.acceptance import Acceptance
from service.rollout.comparing_backends import ComparingBackend
from service.rollout.output_statistics import OutputStatistics
from service.rollout.parity import Parity, check_parity, check_sense, compare_backends, largest_ct
from service.settings import default_repository

DEMO_CT = Path(__file__).parents[3] / "demo" / "ct"
LOWER_HALF = np.where(np.arange(tiny_models.SIZE) < tiny_models.SIZE // 2, 1.0, 0.0).reshape(1, -1, 1)

WAYS: dict[str, tuple[Array | float, Array | float]] = {
    "sound": (1.0, 0.0),
    "black": (0.0, 0.0),
    "constant": (0.0, 200.0),
    "not a number": (1.0, np.nan),
    "blind to opacities": (np.array([1.0, 0.0]).reshape(2, 1, 1), 0.0),
    "rounded": (254 / 255, 0.0),
    "faded": (0.9, 0.0),
    "half": (LOWER_HALF, 0.0),
    "all opacity": (np.array([1.0, 0.0]).reshape(2, 1, 1), np.array([0.0, 255.0]).reshape(2, 1, 1)),
    "hardly any": (np.array([1.0, 0.0]).reshape(2, 1, 1), np.array([0.0, 1.0]).reshape(2, 1, 1)),
}
"""What spoils the tiny network for lungs and opacities at its end: a factor and an offset. Faded: the masks stay."""


def spoilt(scale: Array | float, offset: Array | float) -> bytes:
    """The tiny network with its probabilities multiplied and shifted at the end, in floating point."""
    model = onnx.load_from_string(tiny_models.lung_opacity())
    (end,) = [node for node in model.graph.node if node.output[0] == "probability"]
    end.output[0] = "sound"
    for name, values in (("scale", scale), ("offset", offset)):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
    model.graph.node.extend(
        [
            helper.make_node("Cast", ["sound"], ["exact"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["exact", "scale"], ["scaled"]),
            helper.make_node("Add", ["scaled", "offset"], ["shifted"]),
            helper.make_node("Cast", ["shifted"], ["probability"], to=TensorProto.UINT8),
        ]
    )
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository that has the tiny network as version 100 and the spoilt ones after it."""
    root = tiny_models.repository(tmp_path_factory.mktemp("models") / "own")
    for number, way in enumerate(WAYS.values(), 100):
        spec = tiny_models.numbered(tiny_models.LUNG_OPACITY, number)
        repository.add(root, repository.embed(spoilt(*way), spec))
    return root


def serving(root: Path, way: str) -> OnnxBackend:
    return OnnxBackend(root, versions={"lung-opacity": number_of(way)})


def number_of(way: str) -> str:
    return str(100 + list(WAYS).index(way))


class Plain(CovidSeverity):
    """A pipeline without resampling: the phantom has the grid of the tiny network, and its lobes are known."""

    name = "plain"
    models: tuple[Role, ...] = (LUNG_OPACITY,)

    def __init__(self, lobe_mask: Array) -> None:
        self.lobe_mask = lobe_mask

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        progress("all", 0.0)
        hu, step = ct.volume.array.astype(np.int16)[:, None], backend.spec("lung-opacity").call_batch
        calls = [backend.infer("lung-opacity", {"hu": hu[k : k + step]}) for k in range(0, len(hu), step)]
        lung, opacity = np.concatenate([call["probability"] for call in calls]).swapaxes(0, 1) >= 128
        lobes = np.where(lung, self.lobe_mask, 0).astype(np.uint8)
        if not lobes.any():
            raise Rejected(Refusal(Reason.NO_LUNG, ""))
        return evidence_samples.analysis_of(ct, lobes, (opacity & (lobes > 0)).astype(np.uint8))


class Unconcerned(Plain):
    """A pipeline that needs other models: it has no part in the check."""

    name = "unconcerned"
    models: tuple[Role, ...] = (LOBES,)
    optional_models: tuple[Role, ...] = ()

    def analyse(self, ct: CT, backend: Backend, progress: Progress) -> Analysis:
        raise AssertionError("it does not use the model that is tried")


def scanned(**options: Any) -> tuple[CT, Plain]:
    size, pixel = tiny_models.SIZE, (3.2, 3.2)
    phantom = make_ct.make(rows=size, columns=size, pixel_mm=pixel, slices=30, spacing_mm=8.0, **options)
    ct, _ = evidence_samples.from_phantom(phantom)
    return ct, Plain(phantom.truth.lobe_mask)


@pytest.fixture(scope="module")
def scan() -> tuple[CT, Plain]:
    return scanned(findings=make_ct.FINDINGS)


def compare(scan: tuple[CT, Plain], root: Path, way: str) -> Parity:
    ct, pipeline = scan
    return compare_backends(pipeline, ct, serving(root, "sound"), serving(root, way), lambda *_: None)


def test_what_is_only_rounded_passes(scan: tuple[CT, Plain], root: Path) -> None:
    told: list[str] = []
    ct, pipeline = scan
    found = check_parity(
        pipeline, ct, serving(root, "sound"), serving(root, "rounded"), lambda stage, _: told.append(stage)
    )
    assert found.difference is not None
    assert found.difference.labels["findings"].reference_ml > 10.0, "there is something to lose"
    of_lungs = next(answers for answers in found.answers if answers.channel == "lung")
    assert (of_lungs.largest, of_lungs.further, of_lungs.compared) == (1.0, 0, of_lungs.values)
    assert told == ["reference: all", "candidate: all"]
    document = json.loads(json.dumps(found.as_document(), allow_nan=False))
    assert (document["passed"], document["mistakes"]) == (True, [])


@pytest.mark.parametrize(
    ("way", "said"),
    [
        ("black", ["lung-opacity, lung, is all black", "lung-opacity, opacity, is all black", "NO_LUNG"]),
        ("not a number", ["lung-opacity, lung, is all black", "lung-opacity, opacity, is all black", "NO_LUNG"]),
        ("constant", ["lung-opacity, lung, is 200 everywhere", "lung-opacity, opacity, is 200 everywhere"]),
        ("blind to opacities", ["lung-opacity, opacity, is all black"]),
    ],
)
def test_nonsense_is_named_and_bars_even_another_version(
    scan: tuple[CT, Plain], root: Path, way: str, said: Sequence[str]
) -> None:
    found = compare(scan, root, way)
    for words in said:
        assert words in "; ".join(found.nonsense)
    assert not json.loads(json.dumps(found.as_document(), allow_nan=False))["passed"]
    ct, pipeline = scan
    for check in (check_sense, check_parity):
        with pytest.raises(Permanent, match="The models do not pass: lung-opacity, "):
            check(pipeline, ct, serving(root, "sound"), serving(root, way), lambda *_: None)


def test_other_probabilities_fail_though_the_masks_are_the_same(scan: tuple[CT, Plain], root: Path) -> None:
    found = compare(scan, root, "faded")
    assert found.difference is not None
    assert found.difference.worst_dice == 1.0
    assert found.nonsense == ()
    assert any("lung-opacity, lung, differs by more than 1 of 255 in" in said for said in found.mistakes)


def test_other_masks_fail_but_are_no_nonsense_in_another_version(scan: tuple[CT, Plain], root: Path) -> None:
    found = compare(scan, root, "half")
    assert any(said.startswith("lobes: Dice 0.") for said in found.mistakes)
    assert found.nonsense == ()


def test_a_healthy_ct_may_have_no_opacity_anywhere(root: Path) -> None:
    found = compare(scanned(noise_hu=0.0), root, "sound")
    assert [answers.high for answers in found.answers if answers.channel == "opacity"] == [0.0]
    assert found.mistakes == ()


@pytest.mark.slow
def test_on_a_healthy_ct_only_the_constant_that_is_expected_is_excused(root: Path, tmp_path: Path) -> None:
    """A version that calls everything opacity, where the active one finds none, does not pass."""
    size, pixel = tiny_models.SIZE, (3.2, 3.2)
    phantom = make_ct.make(rows=size, columns=size, pixel_mm=pixel, slices=30, spacing_mm=8.0, noise_hu=1.0)
    make_ct.write(phantom.datasets, tmp_path)
    pipelines = [Unconcerned(phantom.truth.lobe_mask), Plain(phantom.truth.lobe_mask)]
    acceptance = Acceptance(pipelines, pipelines, tmp_path, lambda versions: OnnxBackend(root, versions=versions))
    with pytest.raises(Permanent, match=r"lung-opacity, opacity, is 255 everywhere\.$"):
        acceptance.check(root, "lung-opacity", number_of("all opacity"))
    assert acceptance.check(root, "lung-opacity", number_of("hardly any")).difference is not None


def test_what_the_reference_cannot_be_asked_is_judged_by_itself(root: Path) -> None:
    """Another network of the same role sees other images: nothing to compare, but black is black."""
    both = ComparingBackend(OnnxBackend(default_repository()), serving(root, "blind to opacities"))
    both.infer("lung-opacity", {"hu": np.full((1, 1, tiny_models.SIZE, tiny_models.SIZE), -600, np.int16)})
    lung, opacity = both.answers
    assert (lung.compared, opacity.compared) == (0, 0)
    assert opacity.nonsense == "lung-opacity, opacity, is all black: 0 everywhere"


def test_without_a_reference_nothing_is_excused(scan: tuple[CT, Plain], root: Path) -> None:
    ct, pipeline = scan
    assert check_sense(pipeline, ct, None, serving(root, "sound"), lambda *_: None).difference is None
    for way in ("constant", "black"):
        with pytest.raises(Permanent, match="The models do not pass: lung-opacity, "):
            check_sense(pipeline, ct, None, serving(root, way), lambda *_: None)


def test_values_that_are_no_numbers_are_named() -> None:
    found = OutputStatistics("lungs", "lung").with_call(np.array([0.0, np.nan, 255.0]), np.array([0.0, 255.0, 255.0]))
    assert found.nonsense == "lungs, lung, holds values that are not numbers (NaN or infinity)"
    assert (found.further, found.largest) == (1, 0.0)
    json.dumps(found.as_document(), allow_nan=False)


@pytest.fixture(scope="module")
def slices() -> Array:
    """Some slices of the demo CT as the released network takes them."""
    volume = read_ct([dcmread(path) for path in sorted(DEMO_CT.glob("*.dcm"))[10::16]]).volume
    (view,) = views_of(volume, released()[1])
    return np.ascontiguousarray(view.array[:, None])


def released() -> tuple[bytes, ModelSpec]:
    (path,) = (default_repository() / "lung-opacity").glob("*/model.onnx")
    return path.read_bytes(), embedded(path.read_bytes(), str(path))


def answers_of(slices: Array, content: bytes, root: Path) -> dict[str, OutputStatistics]:
    """The released network beside another form of it, by channel."""
    spec = replace(released()[1], version="9")
    repository.create(root, default_repository())
    repository.add(root, repository.embed(content, spec))
    both = ComparingBackend(OnnxBackend(default_repository()), OnnxBackend(root, versions={"lung-opacity": "9"}))
    for k in range(0, len(slices), spec.call_batch):
        both.infer("lung-opacity", {"hu": slices[k : k + spec.call_batch]})
    return {answers.channel: answers for answers in both.answers}


@pytest.mark.slow
def test_the_released_network_passes_in_16_bits(slices: Array, tmp_path: Path) -> None:
    found = answers_of(slices, half_precision.in_16_bits(released()[0]), tmp_path)
    for answers in found.values():
        assert answers.mistake is None
        assert answers.compared == answers.values == len(slices) * 256 * 256
    assert found["lung"].largest >= 1.0, "16 bits do make a difference"


@pytest.mark.slow
def test_a_network_that_16_bits_are_too_few_for_is_caught(slices: Array, tmp_path: Path) -> None:
    large = half_precision.with_large_values_between(released()[0])
    in_32 = answers_of(slices, large, tmp_path / "32")
    assert all(answers.mistake is None for answers in in_32.values())
    in_16 = answers_of(slices, half_precision.in_16_bits(large), tmp_path / "16")
    for answers in in_16.values():
        assert "is all black" in (answers.nonsense or ""), "what was not a number is 0 as a whole number"


def test_a_folder_without_a_ct_is_said(tmp_path: Path) -> None:
    with pytest.raises(Permanent, match="There is no DICOM series in"):
        largest_ct(tmp_path)
