"""Answers of overlapping patches become one, without seams and whatever the order of threads."""

from collections.abc import Mapping
from dataclasses import replace
from threading import Lock
from time import sleep

import numpy as np
import pytest
from helpers import tiny_models
from numpy.typing import NDArray

from service.domain.model_spec import ModelSpec
from service.domain.ports import Array
from service.imaging.boxes import bounds
from service.inference.onnx import load_model
from service.inference.repository import embed
from service.pipelines.covid_triage.patches import OVERLAP, corners_of, infer_patches, window

SIZE = (32, 40, 40)
SHAPE = (80, 120, 130)
AIR = -1024


def spec_of(size: tuple[int, ...]) -> ModelSpec:
    spec = tiny_models.numbered(tiny_models.TRIAGE_LESION, 1)
    taken, given = replace(spec.inputs[0], dims=size), replace(spec.outputs[0], dims=(1, *size))
    return replace(spec, inputs=(taken,), outputs=(given,))


class Network:
    """A back end with a network that sees what is around a voxel, and whose first calls take the longest."""

    def __init__(self, size: tuple[int, ...] = SIZE, concurrency: int = 1) -> None:
        self.concurrency = concurrency
        self.own = spec_of(size)
        self.model = load_model(embed(tiny_models.triage_lesion(self.own), self.own), "of the test")
        self.batches: list[Array] = []
        self._lock = Lock()

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        with self._lock:
            self.batches.append(inputs["hu"])
            late = len(self.batches) == 1
        sleep(0.05 if late and self.concurrency > 1 else 0.0)
        return self.model.infer(inputs)

    def cancel(self) -> None:
        raise AssertionError("nothing failed")


class Constant(Network):
    """Answers 77 everywhere."""

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.batches.append(inputs["hu"])
        return {"probability": np.full((len(inputs["hu"]), 1, *self.own.inputs[0].dims), 77, np.uint8)}


def chest() -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """Two lungs with noise and a smooth pattern of opacity, and air outside of them."""
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in SHAPE), indexing="ij")
    inside = np.zeros(SHAPE, np.bool_)
    for middle in (-0.5, 0.5):
        inside |= (z / 0.9) ** 2 + (y / 0.8) ** 2 + ((x - middle) / 0.4) ** 2 < 1
    pattern = -790 + 60 * np.sin(7 * z) * np.cos(5 * y) * np.sin(9 * x)
    hu = np.where(inside, pattern + np.random.default_rng(0).normal(0, 5, SHAPE), AIR)
    return np.rint(hu).astype(np.int16), inside


def answer(
    hu: NDArray[np.int16], inside: NDArray[np.bool_], network: Network, done: list[float] | None = None
) -> NDArray[np.uint8]:
    told = done if done is not None else []
    return infer_patches(hu, inside, network.own, network, told.append)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole() -> NDArray[np.uint8]:
    """What the network says when it sees everything at once."""
    hu, _ = chest()
    network = Network(SHAPE)
    return np.asarray(network.infer("", {"hu": hu[None]})["probability"][0, 0])


@pytest.mark.parametrize("shift", [(0, 0, 0), (1, 0, 5), (3, 7, 2), (8, 11, 13)])
def test_the_answer_does_not_depend_on_where_patches_begin(
    whole: NDArray[np.uint8], shift: tuple[int, int, int]
) -> None:
    hu, inside = chest()
    far = tuple(slice(one, one + size) for one, size in zip(shift, SHAPE, strict=True))
    moved = np.full([size + 2 * one for one, size in zip(shift, SHAPE, strict=True)], AIR, np.int16)
    lung = np.zeros(moved.shape, np.bool_)
    moved[far], lung[far] = hu, inside
    lung[0, 0, 0] = True  # patches are laid from here
    found = answer(moved, lung, Network())[far]
    apart = np.abs(found.astype(int) - whole.astype(int))[inside]
    assert apart.max() <= 3
    assert 20 < whole[inside].mean() < 235, "there is something to see"


def test_without_the_window_a_seam_would_show(whole: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.pipelines.covid_triage.patches.window", lambda size: np.ones(size, np.float32))
    hu, inside = chest()
    assert np.abs(answer(hu, inside, Network()).astype(int) - whole.astype(int))[inside].max() > 20


def test_a_constant_answer_stays_constant() -> None:
    hu, inside = chest()
    found = answer(hu, inside, Constant())
    assert set(np.unique(found[inside])) == {77}


def test_threads_that_end_in_another_order_change_no_bit() -> None:
    hu, inside = chest()
    assert np.array_equal(answer(hu, inside, Network(concurrency=4)), answer(hu, inside, Network()))


def test_patches_without_lung_are_not_asked_for_and_batches_are_as_large_as_the_model_takes() -> None:
    hu, inside = chest()
    inside[:, :, 65:] = False  # one lung is left, and a speck far away
    inside[0, 0, -1] = True
    network, done = Constant(), []
    found = answer(np.where(inside, hu, np.int16(AIR)), inside, network, done)
    asked = [patch for batch in network.batches for patch in batch]
    every = corners_of(bounds(inside, (2, 4, 4)), SIZE)
    assert len(asked) < 0.65 * len(every)
    assert [len(batch) for batch in network.batches[:-1]] == [2] * (len(network.batches) - 1)
    assert found[60, 90, 120] == 0 and found[inside].all()
    assert done == sorted(done) and done[-1] == 1.0


@pytest.mark.parametrize("size", [SIZE, (64, 64, 64), (128, 256, 256)])
def test_any_size_of_patch_will_do_beyond_the_volume_there_is_air(
    whole: NDArray[np.uint8], size: tuple[int, int, int]
) -> None:
    hu, inside = chest()
    network = Network(size)
    found = answer(hu, inside, network)
    assert np.abs(found.astype(int) - whole.astype(int))[inside].max() <= 2
    if size[0] > SHAPE[0]:
        assert (network.batches[0][0, 0] == AIR).all()


def firsts(length: int) -> list[int]:
    """Where patches of 128 begin along an axis on which `length` voxels, from 5 on, are to be covered."""
    box = slice(0, 9), slice(0, 9), slice(5, 5 + length)
    return sorted({corner[2] for corner in corners_of(box, (16, 16, 128))})


def test_neighbours_share_an_eighth_at_least_and_lie_evenly() -> None:
    assert firsts(300) == [5, 91, 177]
    assert OVERLAP * 128 == 16
    assert firsts(128 + 112) == [5, 117], "just an eighth"
    assert firsts(128 + 113) == [5, 61, 118], "two would share less"
    assert corners_of((slice(4, 14), slice(0, 16), slice(0, 17)), (16, 16, 16))[0] == (1, 0, 0), "in the middle of it"


def test_the_window_is_above_zero_and_highest_in_the_middle() -> None:
    weights = window((6, 8, 10))
    assert weights.min() > 0 and weights.dtype == np.float32
    assert weights.max() == weights[2, 3, 4]
