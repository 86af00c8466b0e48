"""What the network says of the lung field, and what of the field has to be told."""

from collections.abc import Callable
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.domain.ct import CT
from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend
from service.pipelines.nsclc_gtv.field_grid import FieldGrid, field_grid, is_paper
from service.pipelines.nsclc_gtv.findings import Rule
from service.pipelines.nsclc_gtv.model_roles import LEAST_ML, LEAST_PEAK
from service.pipelines.shared.slices import infer_slices
from service.pipelines.shared.stacks import infer_stacks

Told = Callable[[float], None]
"""Called with the fraction that is done, 0 to 1."""

Probability = NDArray[np.uint8]
"""255 = certain, 128 = threshold; axes (slice, row, column)."""


@dataclass(frozen=True, slots=True, eq=False)
class FieldAnswers:
    """grid: the field that the network saw. probability: UINT8, 128 = threshold, on its grid; 0 outside the field."""

    grid: FieldGrid
    probability: hd.Volume

    @property
    def searched_ml(self) -> float:
        """Volume of the field."""
        return float(np.count_nonzero(self.grid.field.inside) * self.grid.hu.voxel_volume / 1000.0)

    @property
    def beyond_mm(self) -> tuple[float, float]:
        """How far the CT reaches above the first slice of the chest, and below the last one."""
        slice_mm, chest = float(self.grid.hu.spacing[0]), self.grid.field.chest
        return chest.start * slice_mm, (self.grid.hu.spatial_shape[0] - chest.stop) * slice_mm


def field_answers(ct: CT, spec: ModelSpec, backend: Backend, done: Told) -> FieldAnswers:
    """Ask the network for the lung field. Rejected with NO_LUNG where there is no lung field."""
    grid = field_grid(ct, spec)
    done(0.1)
    said = (_in_slices if is_paper(spec) else _in_stacks)(grid, spec, backend, lambda part: done(0.1 + 0.9 * part))
    probability = np.where(grid.field.inside, said, np.uint8(0))
    return FieldAnswers(grid, grid.hu.with_array(probability))


def _in_stacks(grid: FieldGrid, spec: ModelSpec, backend: Backend, done: Told) -> Probability:
    said: Probability = infer_stacks(grid.hu.array, grid.field.inside, spec, backend, done)[0]
    return said


def _in_slices(grid: FieldGrid, spec: ModelSpec, backend: Backend, done: Told) -> Probability:
    """Slices of the field alone are asked for: a whole one of a large network takes seconds."""
    said = np.zeros(grid.hu.spatial_shape, np.uint8)
    (said[grid.field.slices],) = infer_slices([grid.hu[grid.field.slices]], spec, backend, done)
    return said


def rule_of(spec: ModelSpec) -> Rule:
    """The detection rule of a model; the role has checked that its spec has one."""
    return Rule(spec.measured[LEAST_ML], spec.measured[LEAST_PEAK])
