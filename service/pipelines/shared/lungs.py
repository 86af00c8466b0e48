"""Lungs by the installed models: found once for a CT, whichever pipelines ask.

`lung-opacity` answers for lungs and opacities at once, on its own grid; a model `lungs`, where one is installed, finds
the lungs instead. Where a model `lung-shape` is installed, dense lung that was left out is added.
"""

from collections.abc import Callable
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.domain.ct import CT
from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend
from service.imaging.lungs import Lungs, Side, find_lungs
from service.imaging.missing_lung import completed, missing_lung
from service.pipelines.shared.lung_boxes import in_boxes
from service.pipelines.shared.model_roles import LUNG_OPACITY, LUNG_SHAPE, LUNGS
from service.pipelines.shared.slices import averaged_as, centred, infer_slices, onto, plane_grid_of, views_of

Told = Callable[[float], None]
"""Called with the fraction that is done, 0 to 1."""

OPTIONAL = (LUNGS, LUNG_SHAPE)
"""Models that change the lungs where they are installed."""

_CLEANING_FROM = 0.75
"""Fraction of the search for lungs after which they are cleaned and split."""


@dataclass(frozen=True, slots=True, eq=False)
class SliceAnswers:
    """What `lung-opacity` says of every axial slice.

    grid: HU on the model's grid. lung, opacity: UINT8 probability, 128 = threshold; axes (slice, row, column) of grid.
    """

    grid: hd.Volume
    lung: NDArray[np.uint8]
    opacity: NDArray[np.uint8]


def slice_answers(ct: CT, backend: Backend, done: Told) -> SliceAnswers:
    """The network's answers, asked for once."""
    spec = backend.spec(LUNG_OPACITY.name)

    def ask() -> SliceAnswers:
        grid = plane_grid_of(ct, spec)
        done(0.0)
        lung, opacity = infer_slices([grid], spec, backend, done)
        return SliceAnswers(grid, lung, opacity)

    return ct.remembered(("slice answers", spec.sha256), ask)


def lungs_of(ct: CT, answers: SliceAnswers, backend: Backend, done: Told) -> Lungs:
    """Both lungs, found once. Rejected with NO_LUNG, TRUNCATED or LUNG_LOST.

    Whoever asks declares LUNG_OPACITY and, as optional models, `OPTIONAL`.
    """

    def find() -> Lungs:
        found = without_dense_lung(ct, answers, backend, done)
        return with_dense_lung(found, answers.grid, ct.volume, backend) if backend.has(LUNG_SHAPE.name) else found

    return ct.remembered(("lungs", *lungs_made_with(backend)), find)


def without_dense_lung(ct: CT, answers: SliceAnswers, backend: Backend, done: Told) -> Lungs:
    """Both lungs as a network finds them, anew. Rejected as `lungs_of`."""
    spec, probability = _lung_model(backend), answers.lung
    if spec.name == LUNGS.name:
        views = views_of(averaged_as(answers.grid, ct.volume), spec)
        said = infer_slices(views, spec, backend, lambda part: done(_CLEANING_FROM * part))
        (probability,) = onto(answers.grid, views, said)
    return find_lungs(answers.grid, answers.grid.with_array(probability), ct.volume, lambda: done(_CLEANING_FROM))


def with_dense_lung(lungs: Lungs, hu: hd.Volume, source: hd.Volume, backend: Backend) -> Lungs:
    """The lungs and what they lack by their shape; Rejected with TRUNCATED where they are cut off with it.

    hu: on the grid of `lungs.on_model`. source: the CT's volume.
    """
    spec = backend.spec(LUNG_SHAPE.name)
    said, boxes = in_boxes(lungs.on_model, spec, backend)
    shape = {
        side: boxes[side].with_array(centred(said[k], spec.thresholds[name]))
        for k, (side, name) in enumerate(zip(Side, spec.outputs[0].channels, strict=True))
    }
    added = missing_lung(hu, lungs.on_model.array, shape)
    return completed(lungs, added, source) if added.any() else lungs


def lungs_made_with(backend: Backend) -> tuple[str, ...]:
    """Digests of the models that the lungs depend on."""
    shape = (backend.spec(LUNG_SHAPE.name).sha256,) if backend.has(LUNG_SHAPE.name) else ()
    return backend.spec(LUNG_OPACITY.name).sha256, _lung_model(backend).sha256, *shape


def _lung_model(backend: Backend) -> ModelSpec:
    return backend.spec(LUNGS.name) if backend.has(LUNGS.name) else backend.spec(LUNG_OPACITY.name)
