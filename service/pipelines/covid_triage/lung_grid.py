"""What the models of this pipeline see: the lungs on a grid of 2.5 x 1 x 1 mm, without what is around (paper B)."""

from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.domain.ct import CT
from service.imaging.boxes import bounds, clipped
from service.imaging.harmonise import AIR_HU, resample_like, to_spacing
from service.imaging.lungs import Lungs
from service.pipelines.covid_triage.model_roles import SPACING_MM

_AROUND_MM = 10.0
"""The box is larger than the lungs by this much on each side, because cubic interpolation reaches beyond them."""

_SURE, _HALF = 200, 100
"""A mask that is interpolated has the first value in the lungs; from half of it on a voxel counts as lung."""


@dataclass(frozen=True, slots=True, eq=False)
class LungGrid:
    """The lungs as the models see them.

    hu: INT16, -1024 outside the lungs. inside: bool, the lungs; axes (slice to F, row to P, column to L) of both.
    """

    hu: hd.Volume
    inside: NDArray[np.bool_]


def lung_grid(ct: CT, lungs: Lungs) -> LungGrid:
    """Returns the box around the lungs, resampled by cubic interpolation and masked."""
    margin = tuple(int(np.ceil(_AROUND_MM / mm)) for mm in ct.volume.spacing)
    box = clipped(bounds(lungs.on_source > 0, margin), lungs.on_source.shape)
    part = ct.volume[box]
    grid = to_spacing(part, SPACING_MM)
    mask = part.with_array((lungs.on_source[box] > 0) * np.uint8(_SURE))
    inside = resample_like(mask, grid) >= _HALF
    return LungGrid(grid.with_array(np.where(inside, grid.array, np.int16(AIR_HU))), inside)
