"""Lungs by the installed models: found once for a CT, whichever pipelines ask.

`lung-opacity` answers for lungs and opacities at once, on its own grid; a model `lungs`, where one is installed, finds
the lungs instead.
"""

from collections.abc import Callable
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.domain.ct import CT
from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend
from service.imaging.lungs import Lungs, find_lungs
from service.pipelines.shared.model_roles import LUNG_OPACITY, LUNGS
from service.pipelines.shared.slices import averaged_as, infer_slices, onto, views_of

Told = Callable[[float], None]
"""Called with the fraction that is done, 0 to 1."""

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
        (grid,) = views_of(ct.volume, spec)
        done(0.0)
        lung, opacity = infer_slices([grid], spec, backend, done)
        return SliceAnswers(grid, lung, opacity)

    return ct.remembered(("slice answers", spec.sha256), ask)


def lungs_of(ct: CT, answers: SliceAnswers, backend: Backend, done: Told) -> Lungs:
    """Both lungs, found once. Rejected with NO_LUNG, TRUNCATED or LUNG_LOST."""
    spec = _lung_model(backend)

    def find() -> Lungs:
        probability = answers.lung
        if spec.name == LUNGS.name:
            views = views_of(averaged_as(answers.grid, ct.volume), spec)
            said = infer_slices(views, spec, backend, lambda part: done(_CLEANING_FROM * part))
            (probability,) = onto(answers.grid, views, said)
        cleaned = answers.grid.with_array(probability)
        return find_lungs(answers.grid, cleaned, ct.volume, lambda: done(_CLEANING_FROM))

    return ct.remembered(("lungs", *lungs_made_with(backend)), find)


def lungs_made_with(backend: Backend) -> tuple[str, ...]:
    """Digests of the models that the lungs depend on."""
    return backend.spec(LUNG_OPACITY.name).sha256, _lung_model(backend).sha256


def _lung_model(backend: Backend) -> ModelSpec:
    return backend.spec(LUNGS.name) if backend.has(LUNGS.name) else backend.spec(LUNG_OPACITY.name)
