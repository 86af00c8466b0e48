"""Tries a model before it is installed: it must run at every batch size and give the same answer each time."""

import time

import numpy as np

from service.errors import Permanent
from service.inference.onnx import load_model
from service.inference.synthetic_ct import drawn

MAX_CHANGED = 1e-4
"""Part of the answer that may change by more than one of 255 with the batch around it."""


def try_model(content: bytes) -> float:
    """Load a model file and run it on drawn chest slices (or lung boxes); seconds per slice or pair of boxes on
    one core.

    Permanent if the file is not what its spec says, if it fails at a batch size up to `max_batch`, or if its answer
    for an image depends on the others in the batch.
    """
    model = load_model(content, "of the trial")
    (tensor,), (answer,) = model.spec.inputs, model.spec.outputs
    images = np.stack([drawn(model.spec, number) for number in range(model.spec.max_batch)])
    started = time.perf_counter()
    alone = np.concatenate([model.infer({tensor.name: image[None]})[answer.name] for image in images])
    seconds = (time.perf_counter() - started) / len(images)
    for batch in sorted({min(2, len(images)), len(images)}):
        together = model.infer({tensor.name: images[:batch]})[answer.name]
        if together.shape != (batch, *answer.dims):
            raise Permanent(f"The model answers a batch of {batch} with {together.shape}, not {(batch, *answer.dims)}.")
        changed = np.abs(together.astype(int) - alone[:batch].astype(int)) > 1
        if changed.mean() > MAX_CHANGED:
            raise Permanent(
                f"The model's answer depends on the other images of the batch ({changed.mean():.2%} of it)."
            )
    return seconds
