"""A canary tells wrong answers by name: FP16 gone wrong, another file, a dead output."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from service.domain.ports import Array
from service.inference.files import model_files
from service.inference.known_answer import KnownAnswer, known_answer

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def known() -> dict[str, KnownAnswer]:
    return {name: known_answer(file) for name, file in model_files(ROOT / "triton_repo").items()}


def probability(answer: Array) -> dict[str, Array]:
    return {"probability": answer}


def test_the_synthetic_image_makes_every_channel_say_something(known: dict[str, KnownAnswer]) -> None:
    for one in known.values():
        (expected,) = one.expected.values()
        for channel in expected[0]:
            assert channel.min() < 64
            assert channel.max() > 192
        assert one.wrong(one.expected) is None


def test_rounding_of_other_hardware_is_forgiven(known: dict[str, KnownAnswer]) -> None:
    expected = known["lung-opacity"].expected["probability"]
    near = np.clip(expected.astype(int) + np.random.default_rng(0).integers(-2, 3, expected.shape), 0, 255)
    near[0, 0, :8, 0] = 128
    assert known["lung-opacity"].wrong(probability(near.astype(np.uint8))) is None


SPOILT: dict[str, tuple[Callable[[Array], Array], str]] = {
    "black": (lambda right: np.zeros_like(right), "all black"),
    "constant": (lambda right: np.full_like(right, 7), "the same everywhere: 7"),
    "other file": (
        lambda right: np.where(right > 60, right - 5, right).astype(np.uint8),
        "is not what this model says",
    ),
    "shape": (lambda right: right[:, :1], r"of shape \(1, 1, 256, 256\)"),
    "dtype": (lambda right: right.astype(np.int16), "is int16"),
}


@pytest.mark.parametrize("name", SPOILT)
def test_a_wrong_answer_is_named(known: dict[str, KnownAnswer], name: str) -> None:
    spoil, said = SPOILT[name]
    one = known["lung-opacity"]
    assert re.search(said, str(one.wrong(probability(spoil(one.expected["probability"])))))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_named(value: float) -> None:
    right = np.linspace(0, 1, 10_000, dtype=np.float32)
    one = KnownAnswer(None, {}, probability(right))  # type: ignore[arg-type]
    spoilt = right.copy()
    spoilt[5000] = value
    assert one.wrong(probability(right + np.float32(0.007))) is None
    assert "not numbers" in str(one.wrong(probability(spoilt)))
    assert "is not what this model says" in str(one.wrong(probability(right * np.float32(0.9))))
