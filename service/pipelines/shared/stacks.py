"""Models that see a slice with the slices around it: what they are given, and what they say.

One call takes a stack of neighbouring slices and answers for those in its middle, so that the model encodes a slice
once for all answers that it has a part in. Beyond the first and the last slice of a CT these are repeated. It sees only
the part of each slice where the lungs are.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import as_completed
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend
from service.imaging.boxes import bounds, clipped
from service.pipelines.shared.slices import Probabilities, asking, centred
from service.pipelines.shared.windows import Window, windows

_MARGIN = 2
"""Pixels around the lungs that are asked for too: the answer is interpolated."""


@dataclass(frozen=True, slots=True)
class _Call:
    """One question. slices: those that are answered for."""

    slices: slice
    window: Window


def infer_stacks(
    hu: NDArray[np.int16],
    lungs: NDArray[np.bool_],
    spec: ModelSpec,
    backend: Backend,
    done: Callable[[float], None] = lambda fraction: None,
) -> Probabilities:
    """What the model says in windows on the lungs, else 0; axes (channel, *axes of hu).

    hu, lungs: (slice, row, column). 0 also above the first and below the last slice with lung.
    As many stacks at once as the back end takes. The first error ends the others, and is raised.
    """
    (taken,), (given,) = spec.inputs, spec.outputs
    asked = given.dims[1]
    reach = (taken.dims[0] - asked) // 2
    said = np.zeros((given.dims[0], *hu.shape), np.uint8)
    calls = list(_calls(lungs, asked, taken.dims[1:]))

    def infer(call: _Call) -> None:
        first, window = call.slices.start, call.window
        seen = np.arange(first - reach, first + asked + reach).clip(0, len(hu) - 1)
        rows, columns = window.seen
        answer = backend.infer(spec.name, {taken.name: hu[seen, rows, columns][None]})[given.name][0]
        told = (slice(None), slice(call.slices.stop - first), *window.own_in_seen)
        said[(slice(None), call.slices, *window.own)] = answer[told]

    with asking(backend, backend.concurrency) as threads:
        asked_for = [threads.submit(infer, call) for call in calls]
        for number, one in enumerate(as_completed(asked_for), 1):
            one.result()
            done(number / len(calls))
    for channel, name in enumerate(given.channels):
        said[channel] = centred(said[channel], spec.thresholds[name])
    return said


def _calls(lungs: NDArray[np.bool_], asked: int, size: tuple[int, ...]) -> Iterator[_Call]:
    """One for each window of each stack. The slices beside a stack count for its windows: answers are interpolated."""
    slices = bounds(lungs, (0, 0, 0))[0]
    plane = lungs.shape[1:]
    for first in range(slices.start, slices.stop, asked):
        shown = np.asarray(lungs[max(0, first - 1) : first + asked + 1].any(0))
        if lungs[first : first + asked].any():
            for window in windows(clipped(bounds(shown, (_MARGIN, _MARGIN)), plane), size, plane):
                yield _Call(slice(first, min(first + asked, slices.stop)), window)
