"""Models that see one axial slice at a time: what they are given, and what they say on the grid where it is wanted."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from itertools import pairwise

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.domain.ct import CT
from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend
from service.errors import Permanent
from service.imaging.body_crop import to_body_crops
from service.imaging.harmonise import MODEL_ORIENTATION, PlaneGrid, resample_like, thicker, to_plane_grid

SLICE_STACKS = "slice-stacks"
"""Name of the layout that `stacks` feeds."""

PLANE_MM = 384.0
"""Least side of the plane, centred on the body, in which slice stacks see windows."""

Probabilities = NDArray[np.uint8]
"""255 = certain, 128 = the model's own threshold; axes (channel, slice, row, column)."""


def plane_grid_of(ct: CT, spec: ModelSpec) -> hd.Volume:
    """The CT on the model's plane grid: INT16 HU, axes (slice to F, row to P, column to L); made once for each grid."""
    grid = _grid(spec)
    return ct.remembered(grid, lambda: to_plane_grid(ct.volume, grid))


def _grid(spec: ModelSpec) -> PlaneGrid:
    assert spec.spacing_mm is not None, "checked when it was installed"
    size = max(spec.inputs[0].dims[1:])
    if spec.input_layout == SLICE_STACKS:
        size = max(size, round(PLANE_MM / spec.spacing_mm))
    return PlaneGrid(spec.spacing_mm, size, spec.slice_mm)


def views_of(volume: hd.Volume, spec: ModelSpec) -> list[hd.Volume]:
    """The CT as the model takes it: INT16 HU in one or more volumes that follow each other, head to feet.

    volume: HU, any axis order.
    """
    if spec.input_layout == "body-crop":
        assert spec.window_hu is not None, "checked when it was installed"
        return to_body_crops(volume, spec.inputs[0].dims[-1], spec.window_hu)
    return [to_plane_grid(volume, _grid(spec))]


def averaged_as(grid: hd.Volume, volume: hd.Volume) -> hd.Volume:
    """A CT whose slices are averaged as those of `grid`, a model's grid of it, are; any axis order.

    Whatever another model says of its slices can then be put `onto` the grid.
    """
    oriented = volume.to_patient_orientation(MODEL_ORIENTATION)
    return thicker(oriented, round(grid.spacing[0] / oriented.spacing[0]))


def infer_slices(
    views: Sequence[hd.Volume], spec: ModelSpec, backend: Backend, done: Callable[[float], None] = lambda fraction: None
) -> Probabilities:
    """What the model says about every slice of the views, on their own grids. done: told the fraction, 0-1.

    As many batches at once as the back end takes. The first error ends the others, and is raised.
    """
    hu = np.concatenate([view.array for view in views])
    said = np.empty((spec.outputs[0].dims[0], *hu.shape), np.uint8)
    batch = spec.call_batch

    def infer(k: int) -> None:
        answer = backend.infer(spec.name, {spec.inputs[0].name: hu[k : k + batch, None]})[spec.outputs[0].name]
        said[:, k : k + batch] = answer.swapaxes(0, 1)

    with asking(backend, backend.concurrency) as threads:
        asked = [threads.submit(infer, k) for k in range(0, len(hu), batch)]
        for number, one in enumerate(as_completed(asked), 1):
            one.result()
            done(min(1.0, number * batch / len(hu)))
    names = spec.outputs[0].channels
    if len(names) != len(said):
        raise Permanent(f"The spec of model {spec.name} does not name the channels of its answer.")
    for channel, name in enumerate(names):
        said[channel] = centred(said[channel], spec.thresholds.get(name, 0.5))
    return said


@contextmanager
def asking(backend: Backend, count: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that ask the back end; whatever is raised in the block, an interruption too, ends what they ask."""
    with ThreadPoolExecutor(count) as threads:
        try:
            yield threads
        except BaseException:
            threads.shutdown(wait=False, cancel_futures=True)
            backend.cancel()
            raise


def onto(grid: hd.Volume, views: Sequence[hd.Volume], said: Probabilities) -> Probabilities:
    """The same on another grid, whose slices are those of the views; 0 where a view does not reach."""
    moved = np.empty((len(said), *grid.spatial_shape), np.uint8)
    ends = np.cumsum([0, *(view.spatial_shape[0] for view in views)]).tolist()
    for view, (first, last) in zip(views, pairwise(ends), strict=True):
        for channel, probability in enumerate(said):
            there = view.with_array(np.ascontiguousarray(probability[first:last]))
            moved[channel, first:last] = resample_like(there, grid[first:last])
    return moved


def centred(probability: NDArray[np.uint8], threshold: float) -> NDArray[np.uint8]:
    """UINT8 probabilities stretched so that the model's own threshold (0-1) lies where 0.5 was."""
    table = np.interp(np.arange(256), [0.0, 255.0 * threshold, 255.0], [0.0, 127.5, 255.0])
    return np.rint(table).astype(np.uint8)[probability]
