"""Classes of lesions by the optional classifier, and what they mean for the CT (paper B; the rule is ours)."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.domain.ct import CT
from service.domain.model_spec import ModelSpec
from service.domain.ports import Array, Backend
from service.errors import Permanent
from service.imaging.boxes import clipped
from service.imaging.harmonise import reach, resample_like, to_box
from service.pipelines.covid_triage.lesions import Lesion, Lesions
from service.pipelines.covid_triage.lung_grid import LungGrid
from service.pipelines.covid_triage.model_roles import SPACING_MM, TRIAGE_INFECTION, Infection

MARGIN_MM = 10.0
"""The region that the classifier sees is larger than the lesion's bounding box by this much on each side."""

MOST_CLASSIFIED = 20
"""So many lesions are classified, the largest first: a call takes a second, and small ones decide nothing."""

_SURE, _HALF = 200, 100
_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class Answer:
    """This is what the classifier says of one lesion: probabilities that sum to 1."""

    lesion: Lesion
    probabilities: Mapping[Infection, float]

    @property
    def infection(self) -> float:
        """Returns the probability of an infection of any kind, 0 to 1."""
        return min(1.0, max(0.0, 1.0 - self.probabilities[Infection.NONE]))

    @property
    def decision(self) -> Infection:
        """Returns the class of the greatest probability."""
        return max(Infection, key=lambda one: self.probabilities[one])


@dataclass(frozen=True, slots=True, eq=False)
class Classified:
    """All answers, and the one that decides for the CT: that of the lesion with the greatest probability of infection.

    heat: why the model took the class of that lesion: uint8, axes (slice, row, column) of the CT.
    """

    answers: tuple[Answer, ...]
    decides: Answer
    heat: NDArray[np.uint8]


def classified(
    ct: CT, grid: LungGrid, lesions: Lesions, backend: Backend, done: Callable[[float], None]
) -> Classified | None:
    """Asks for the largest lesions, one by one, and returns the answers; None where there is no lesion.

    Permanent if the model answers what are no probabilities.
    """
    spec = backend.spec(TRIAGE_INFECTION.name)
    asked = lesions.every[:MOST_CLASSIFIED]
    answers: list[Answer] = []
    decides: tuple[Answer, hd.Volume] | None = None
    for lesion in asked:
        hu, mask = region(ct, grid, lesions, lesion, spec.inputs[0].dims)
        said = backend.infer(spec.name, {"hu": hu.array[None], "mask": mask[None]})
        answer = Answer(lesion, _probabilities(said["probabilities"][0], spec))
        answers.append(answer)
        if decides is None or answer.infection > decides[0].infection:
            decides = answer, hu.with_array(said["heat_map"][0])
        done(len(answers) / len(asked))
    if decides is None:
        return None
    return Classified(tuple(answers), decides[0], _on_ct(decides[1], ct))


def region(
    ct: CT, grid: LungGrid, lesions: Lesions, lesion: Lesion, size: tuple[int, ...]
) -> tuple[hd.Volume, NDArray[np.uint8]]:
    """Returns HU and mask (0 or 1) of the box around one lesion, with `MARGIN_MM`, stretched to `size` voxels.

    The HU are of the lungs on the models' grid: outside of them there is air.
    """
    part = ct.volume[lesion.box].with_array((lesions.numbers[lesion.box] == lesion.number) * np.uint8(_SURE))
    near = reach(part, grid.hu)
    margin = (math.ceil(MARGIN_MM / mm) for mm in SPACING_MM)
    box = tuple(slice(along.start - more, along.stop + more) for along, more in zip(near, margin, strict=True))
    around = grid.hu[clipped(box, grid.hu.spatial_shape)]
    slices, rows, columns = size
    hu = to_box(around, (slices, rows, columns))
    mask = resample_like(part, hu) >= _HALF
    return hu, mask.astype(np.uint8)


def _probabilities(said: Array, spec: ModelSpec) -> dict[Infection, float]:
    if not (np.isfinite(said).all() and (said >= 0).all() and abs(float(said.sum()) - 1.0) <= _ROUNDING):
        raise Permanent(f"Model {spec.name} answers no probabilities that sum to 1.")
    return dict(zip(Infection, map(float, said), strict=True))


def _on_ct(heat: hd.Volume, ct: CT) -> NDArray[np.uint8]:
    values = np.zeros(ct.volume.spatial_shape, np.uint8)
    there = reach(heat, ct.volume)
    values[there] = resample_like(heat, ct.volume[there])
    return values
