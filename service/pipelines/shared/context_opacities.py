"""Opacities by the network that sees the slices around each slice, found once for a CT, whichever pipelines ask."""

from collections.abc import Callable
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.domain.ct import CT
from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend
from service.errors import Permanent
from service.imaging.boxes import bounds
from service.imaging.harmonise import resample_like
from service.imaging.lungs import HALF, Lungs
from service.pipelines.shared.lungs import SliceAnswers, lungs_made_with
from service.pipelines.shared.model_roles import OPACITY_CONTEXT
from service.pipelines.shared.opacities import find_opacities
from service.pipelines.shared.reliability import Reliability, reliability
from service.pipelines.shared.slices import averaged_as, plane_grid_of
from service.pipelines.shared.stacks import infer_stacks

_COVERED = 0.95
"""Part of the lungs that the network has to see."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """opacity: bool (slice, row, column) of the CT; it may reach a voxel beyond the lungs. Nobody may change it."""

    opacity: NDArray[np.bool_]
    reliability: Reliability


def opacities_of(ct: CT, answers: SliceAnswers, lungs: Lungs, backend: Backend, done: Callable[[float], None]) -> Seen:
    """What the network finds in the lungs. Slices without lung are not asked for.

    answers: of the network that sees one slice at a time; where the two differ there is doubt. Permanent if the
    network's grid does not cover the lungs.
    """
    spec = backend.spec(OPACITY_CONTEXT.name)
    made_with = (spec.sha256, *lungs_made_with(backend))
    return ct.remembered(("opacities", *made_with), lambda: _find(ct, answers, lungs, backend, spec, done))


def _find(
    ct: CT, answers: SliceAnswers, lungs: Lungs, backend: Backend, spec: ModelSpec, done: Callable[[float], None]
) -> Seen:
    grid = plane_grid_of(ct, spec)
    done(0.1)
    inside = _on(ct, lungs, grid)
    there = inside.array > 0
    covered = float(np.count_nonzero(there) * grid.voxel_volume)
    if covered < _COVERED * float(np.count_nonzero(lungs.on_source) * ct.volume.voxel_volume):
        raise Permanent(f"Model {spec.name} does not see the whole lungs: its grid is too small for this CT.")
    said = infer_stacks(grid.array, bounds(there, (0, 0, 0))[0], spec, backend, lambda part: done(0.1 + 0.8 * part))
    opacity = said[spec.outputs[0].channels.index("opacity")]
    found = find_opacities(grid.with_array(opacity), inside, ct.volume)
    single = find_opacities(answers.grid.with_array(answers.opacity), lungs.on_model, ct.volume)
    sure = reliability(
        grid.array, there, (opacity >= HALF) & there, grid.spacing, _agreement(found, single, lungs, ct.voxel_ml)
    )
    done(1.0)
    return Seen(found, sure)


SLACK_ML = 20.0
"""Volume that counts as agreed from the start, so that little opacity that is doubted means little."""


def _agreement(found: NDArray[np.bool_], single: NDArray[np.bool_], lungs: Lungs, voxel_ml: float) -> float:
    """Dice, with a slack, of what both networks find in the lungs."""
    inside, slack = lungs.on_source > 0, SLACK_ML / voxel_ml
    both = 2.0 * np.count_nonzero(found & single & inside)
    size = float(np.count_nonzero(found & inside) + np.count_nonzero(single & inside))
    return (both + slack) / (size + slack)


def _on(ct: CT, lungs: Lungs, grid: hd.Volume) -> hd.Volume:
    """1 where a voxel of `grid`, whose slices are those of the CT, averaged, is mostly lung."""
    percent = averaged_as(grid, ct.volume.with_array((lungs.on_source > 0) * np.uint8(100)))
    return grid.with_array((resample_like(percent, grid) >= 50).astype(np.uint8))
