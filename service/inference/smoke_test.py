"""Tries a model before it is installed: it must run at every batch size and give the same answer each time."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from service.domain.model_spec import TensorSpec
from service.domain.ports import Array
from service.errors import Permanent
from service.inference.onnx import load_model
from service.inference.synthetic_ct import synthetic_inputs
from service.inference.tensors import check_numbers, one_step

MAX_CHANGED = 1e-4
"""Part of the answer that may change by more than one of 255 with the batch around it."""


def try_model(content: bytes) -> float:
    """Load a model file and run it on synthetic images; seconds per image on one core.

    Permanent if the file is not what its spec says, if it fails at a batch size up to `max_batch`, if it answers values
    that are not numbers, or if its answer for an image depends on the others in the batch.
    """
    model = load_model(content, "of the trial")
    images = [synthetic_inputs(model.spec, number) for number in range(model.spec.max_batch)]
    started = time.perf_counter()
    alone = [model.infer(image) for image in images]
    seconds = (time.perf_counter() - started) / len(images)
    for answer in alone:
        check_numbers(model.spec, answer)
    for batch in sorted({min(2, len(images)), len(images)}):
        together = model.infer(_joined(images[:batch]))
        check_numbers(model.spec, together)
        for tensor in model.spec.outputs:
            _check(tensor, together[tensor.name], _joined(alone[:batch])[tensor.name])
    return seconds


def _joined(images: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """One batch of several."""
    return {name: np.concatenate([image[name] for image in images]) for name in images[0]}


def _check(tensor: TensorSpec, together: Array, alone: Array) -> None:
    if together.shape != (len(alone), *tensor.dims):
        raise Permanent(
            f"The model answers a batch of {len(alone)} with {together.shape}, not {(len(alone), *tensor.dims)}."
        )
    changed = np.abs(together.astype(np.float64) - alone.astype(np.float64)) > one_step(alone)
    if changed.mean() > MAX_CHANGED:
        raise Permanent(f"The model's answer depends on the other images of the batch ({changed.mean():.2%} of it).")
