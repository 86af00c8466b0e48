"""Models that see a slice with the slices around it: what they are given, and what they say.

One call takes a stack of neighbouring slices and answers for those in its middle, so that the model encodes a slice
once for all windows that it is in. Beyond the first and the last slice of a CT these are repeated.
"""

from collections.abc import Callable
from concurrent.futures import as_completed

import numpy as np
from numpy.typing import NDArray

from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend
from service.pipelines.shared.slices import Probabilities, asking, centred


def infer_stacks(
    hu: NDArray[np.int16],
    where: slice,
    spec: ModelSpec,
    backend: Backend,
    done: Callable[[float], None] = lambda fraction: None,
) -> Probabilities:
    """What the model says about the slices `where` of `hu`, and 0 about the others; axes (channel, *axes of hu).

    As many stacks at once as the back end takes. The first error ends the others, and is raised.
    """
    (taken,), (given,) = spec.inputs, spec.outputs
    asked = given.dims[1]
    reach = (taken.dims[0] - asked) // 2
    said = np.zeros((given.dims[0], *hu.shape), np.uint8)
    firsts = range(where.start, where.stop, asked)

    def infer(first: int) -> None:
        seen = np.arange(first - reach, first + asked + reach).clip(0, len(hu) - 1)
        answer = backend.infer(spec.name, {taken.name: hu[seen][None]})[given.name][0]
        count = min(asked, where.stop - first)
        said[:, first : first + count] = answer[:, :count]

    with asking(backend, backend.concurrency) as threads:
        asked_for = [threads.submit(infer, first) for first in firsts]
        for number, one in enumerate(as_completed(asked_for), 1):
            one.result()
            done(number / len(firsts))
    for channel, name in enumerate(given.channels):
        said[channel] = centred(said[channel], spec.thresholds[name])
    return said
