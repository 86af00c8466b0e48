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
from service.imaging.harmonise import resample_like
from service.imaging.lungs import HALF, Lungs
from service.pipelines.shared.lungs import SliceAnswers, lungs_made_with
from service.pipelines.shared.model_roles import OPACITY_CONTEXT
from service.pipelines.shared.opacities import onto_source, opacities_on_model
from service.pipelines.shared.reliability import Reliability, reliability
from service.pipelines.shared.slices import averaged_as, plane_grid_of
from service.pipelines.shared.stacks import infer_stacks

_COVERED = 0.95
"""Part of the lungs that the network has to see."""


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """opacity: bool (slice, row, column) of the CT, in the lungs. Nobody may change it."""

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
    there = _lungs_on(grid, lungs, ct)
    covered = float(np.count_nonzero(there) * grid.voxel_volume)
    if covered < _COVERED * float(np.count_nonzero(lungs.on_source) * ct.volume.voxel_volume):
        raise Permanent(f"Model {spec.name} does not see the whole lungs: its grid is too small for this CT.")
    said = infer_stacks(grid.array, there, spec, backend, lambda part: done(0.1 + 0.8 * part))
    opacity = grid.with_array(said[spec.outputs[0].channels.index("opacity")])
    single = grid.with_array(_on(grid, answers.grid.with_array(answers.opacity)))
    found, second = (opacities_on_model(one, there) for one in (opacity, single))
    agreement = _agreement(found, second, float(grid.voxel_volume) / 1000.0)
    sure = reliability(grid.array, there, (opacity.array >= HALF) & there, grid.spacing, agreement)
    in_lungs = onto_source(found, opacity, there, ct.volume)
    for plane, lung in zip(in_lungs, lungs.on_source, strict=True):  # no second array of that size
        plane &= lung > 0
    done(1.0)
    return Seen(in_lungs, sure)


SLACK_ML = 20.0
"""Volume that counts as agreed from the start, so that little opacity that is doubted means little."""


def _agreement(found: NDArray[np.bool_], second: NDArray[np.bool_], voxel_ml: float) -> float:
    """Dice, with a slack, of what both networks find in the lungs."""
    slack = SLACK_ML / voxel_ml
    both = 2.0 * np.count_nonzero(found & second)
    return (both + slack) / (float(np.count_nonzero(found) + np.count_nonzero(second)) + slack)


def _lungs_on(grid: hd.Volume, lungs: Lungs, ct: CT) -> NDArray[np.bool_]:
    """Voxels of `grid`, whose slices are those of the CT, averaged, that are mostly lung.

    Where both models want the same grid, the lungs were found on it.
    """
    if lungs.on_model.geometry_equal(grid):
        return np.asarray(lungs.on_model.array > 0)
    percent = averaged_as(grid, ct.volume.with_array((lungs.on_source > 0) * np.uint8(100)))
    return np.asarray(resample_like(percent, grid) >= 50)


def _on(grid: hd.Volume, said: hd.Volume) -> NDArray[np.uint8]:
    """UINT8 of one model's grid on another's; the same where both models want the same."""
    return said.array if said.geometry_equal(grid) else resample_like(said, grid)
