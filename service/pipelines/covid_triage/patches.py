"""Models that see a box of a volume at a time: where the boxes lie, and how their answers become one without seams.

Neighbouring boxes overlap. Where they do, each answer counts by how near it is to the middle of its box (a Hann
window), so that what a network says at a border, where it knows least, hardly counts.
"""

import math
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend
from service.imaging.boxes import Box, bounds
from service.imaging.harmonise import AIR_HU
from service.pipelines.shared.slices import asking

OVERLAP = 1 / 8
"""Least part of a patch that it shares with the next one: 16 to 20 mm (docs/decisions/0159)."""

_CONTEXT = (2, 4, 4)
"""Voxels around the lungs that are asked for, too: no lung lies at the border of the outermost patches."""

Size = tuple[int, ...]


def infer_patches(
    hu: NDArray[np.int16],
    inside: NDArray[np.bool_],
    spec: ModelSpec,
    backend: Backend,
    done: Callable[[float], None] = lambda fraction: None,
) -> NDArray[np.uint8]:
    """Probability (255 = certain) at each voxel of `hu`, axes (slice, row, column); 0 where no patch with lung reaches.

    inside: the lungs; patches without any are not asked for. Beyond the volume there is air. As many batches at once as
    the back end takes; their answers are added in one order, so that sums do not depend on threads. The first error
    ends the others, and is raised.
    """
    (taken,), (given,) = spec.inputs, spec.outputs
    size, batch = taken.dims, spec.call_batch
    around = bounds(inside, _CONTEXT)
    corners = [corner for corner in corners_of(around, size) if _has_some(inside, corner, size)]
    batches = [corners[k : k + batch] for k in range(0, len(corners), batch)]

    def infer(some: list[Size]) -> NDArray[np.uint8]:
        seen = np.stack([_cut(hu, corner, size) for corner in some])
        return np.asarray(backend.infer(spec.name, {taken.name: seen})[given.name][:, 0], np.uint8)

    mean = _WeightedMean(around, size)
    with asking(backend, backend.concurrency) as threads:
        asked = [threads.submit(infer, some) for some in batches]
        for number, (some, one) in enumerate(zip(batches, asked, strict=True), 1):
            for corner, answer in zip(some, one.result(), strict=True):
                mean.add(corner, answer)
            done(number / len(batches))
    return mean.onto(hu.shape)


def corners_of(box: Box, size: Size) -> list[Size]:
    """First voxels of the patches that cover `box`, evenly spread; they may begin before it where it is smaller."""
    return list(product(*(_starts(part, length) for part, length in zip(box, size, strict=True))))


def _starts(part: slice, length: int) -> list[int]:
    room = part.stop - part.start - length
    if room <= 0:
        return [part.start + room // 2]
    count = 1 + math.ceil(room / (length - math.ceil(OVERLAP * length)))
    return [part.start + round(room * k / (count - 1)) for k in range(count)]


def window(size: Size) -> NDArray[np.float32]:
    """The weight of each voxel of a patch: above 0, and 1 in the middle."""
    along = [np.sin(np.pi * (np.arange(length) + 0.5) / length) ** 2 for length in size]
    weight = along[0][:, None, None] * along[1][:, None] * along[2]
    return np.asarray(weight, np.float32)


class _WeightedMean:
    """The mean of overlapping answers, by `window`, in a box that holds no more than it must.

    around: the box that is asked for, in voxels of the volume.
    """

    def __init__(self, around: Box, size: Size) -> None:
        self._first = [part.start for part in around]
        shape = [part.stop - part.start for part in around]
        self._sums, self._weights = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
        self._window = window(size)

    def add(self, corner: Size, answer: NDArray[np.uint8]) -> None:
        at = [start - first for start, first in zip(corner, self._first, strict=True)]
        there, here = _overlap(at, answer.shape, self._sums.shape)
        self._sums[there] += self._window[here] * answer[here]
        self._weights[there] += self._window[here]

    def onto(self, shape: Size) -> NDArray[np.uint8]:
        """The mean, rounded, in a volume of that shape."""
        mean = np.divide(self._sums, self._weights, out=np.zeros_like(self._sums), where=self._weights > 0)
        whole = np.zeros(shape, np.uint8)
        there, here = _overlap(self._first, self._sums.shape, shape)
        whole[there] = np.rint(mean[here])
        return whole


def _cut(hu: NDArray[np.int16], corner: Size, size: Size) -> NDArray[np.int16]:
    patch = np.full(size, AIR_HU, np.int16)
    there, here = _overlap(corner, size, hu.shape)
    patch[here] = hu[there]
    return patch


def _has_some(inside: NDArray[np.bool_], corner: Size, size: Size) -> bool:
    return bool(inside[_overlap(corner, size, inside.shape)[0]].any())


def _overlap(corner: Sequence[int], size: Size, shape: Size) -> tuple[Box, Box]:
    """Where a box that begins at `corner` and an array overlap: in the array, and in the box."""
    there = tuple(_there(*along) for along in zip(corner, size, shape, strict=True))
    here = (slice(part.start - start, part.stop - start) for start, part in zip(corner, there, strict=True))
    return there, tuple(here)


def _there(start: int, length: int, size: int) -> slice:
    first = min(max(start, 0), size)
    return slice(first, max(first, min(start + length, size)))
