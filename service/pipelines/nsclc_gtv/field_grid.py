"""What the model of this pipeline sees: the lung field on the model's grid, without what is around (Primakov 2022)."""

from dataclasses import dataclass

import highdicom as hd
import numpy as np

from service.domain.ct import CT
from service.domain.model_spec import ModelSpec
from service.imaging.harmonise import AIR_HU
from service.imaging.lung_field import LungField, lung_field
from service.imaging.nearest_grid import to_nearest_grid
from service.pipelines.nsclc_gtv.model_roles import PAPER_MM, PAPER_SIZE, PAPER_SLICES
from service.pipelines.shared.slices import plane_grid_of


@dataclass(frozen=True, slots=True, eq=False)
class FieldGrid:
    """hu: INT16, -1024 outside the field; axes (slice to F, row to P, column to L)."""

    hu: hd.Volume
    field: LungField


def field_grid(ct: CT, spec: ModelSpec) -> FieldGrid:
    """Resample the CT to the model's grid and isolate the lung field. Rejected with NO_LUNG where there is no lung."""
    grid = to_nearest_grid(ct.volume, PAPER_MM, PAPER_SIZE) if is_paper(spec) else plane_grid_of(ct, spec)
    field = lung_field(grid)
    return FieldGrid(grid.with_array(np.where(field.inside, grid.array, np.int16(AIR_HU))), field)


def is_paper(spec: ModelSpec) -> bool:
    """Whether the model is fed as the paper has it."""
    return spec.input_layout == PAPER_SLICES
