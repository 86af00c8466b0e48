"""Known-answer check: a fixed image with a known answer shows whether a server runs exactly these models correctly.

A server says that it is ready while a model's process is dead, serves another file under the same name and version, or
computes on hardware where 16 bits are too few.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from service.domain.model_spec import ModelSpec
from service.domain.ports import Array
from service.inference.files import ModelFile
from service.inference.onnx import load_model
from service.inference.synthetic_ct import synthetic_inputs
from service.inference.tensors import check_numbers, one_step

MAX_STEPS_APART = 2
"""Steps (`inference.tensors.one_step`) that a value may be apart, because other hardware rounds differently."""

MAX_FURTHER_APART = 1e-3
"""Part of the answer that may be further apart: where a rounding tips a steep edge."""


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """inputs: one synthetic image. expected: what ONNX Runtime in this process said about it."""

    spec: ModelSpec
    inputs: Mapping[str, Array]
    expected: Mapping[str, Array]

    def wrong(self, answer: Mapping[str, Array]) -> str | None:
        """What is wrong with an answer, in words; None if it is right."""
        found = (_wrong(answer[name], expected) for name, expected in self.expected.items())
        return next((what for what in found if what is not None), None)


def known_answer(file: ModelFile) -> KnownAnswer:
    """Runs the model once; Permanent if it is not what its spec says, or answers no numbers."""
    model = load_model(file.content, file.key)
    inputs = synthetic_inputs(model.spec)
    expected = model.infer(inputs)
    check_numbers(model.spec, expected)
    return KnownAnswer(model.spec, inputs, expected)


def _wrong(answer: Array, expected: Array) -> str | None:
    if answer.shape != expected.shape or answer.dtype != expected.dtype:
        return f"its answer is {answer.dtype} of shape {answer.shape}, not {expected.dtype} of {expected.shape}"
    if not np.isfinite(answer).all():
        return "its answer holds values that are not numbers (NaN or infinity)"
    if expected.any() and not answer.any():
        return "its answer is all black: 0 everywhere"
    if expected.min() < expected.max() and answer.min() == answer.max():
        return f"its answer is the same everywhere: {answer.flat[0]}"
    difference = np.abs(answer.astype(np.float64) - expected.astype(np.float64))
    apart = difference > MAX_STEPS_APART * one_step(expected)
    if apart.mean() > MAX_FURTHER_APART:
        return (
            f"{apart.mean():.2%} of its answer is not what this model says: it is another file, or computed otherwise"
        )
    return None
