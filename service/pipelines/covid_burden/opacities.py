"""Opacities by the network that sees the slices around each slice."""

from collections.abc import Callable
from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.domain.ct import CT
from service.domain.ports import Backend
from service.imaging.boxes import bounds
from service.imaging.harmonise import resample_like
from service.imaging.lungs import HALF, Lungs
from service.pipelines.covid_burden.reliability import Reliability, reliability
from service.pipelines.shared.model_roles import OPACITY_CONTEXT
from service.pipelines.shared.opacities import find_opacities
from service.pipelines.shared.stacks import grid_of, infer_stacks


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """opacity: bool (slice, row, column) of the CT; it may reach a voxel beyond the lungs."""

    opacity: NDArray[np.bool_]
    reliability: Reliability


def opacities_of(ct: CT, lungs: Lungs, backend: Backend, done: Callable[[float], None]) -> Seen:
    """What the network finds in the lungs. Slices without lung are not asked for."""
    spec = backend.spec(OPACITY_CONTEXT.name)
    grid = grid_of(ct.volume, spec)
    done(0.1)
    inside = _on(lungs.on_model, grid)
    where = bounds(inside.array > 0, (0, 0, 0))[0]
    said = infer_stacks(grid.array, where, spec, backend, lambda part: done(0.1 + 0.8 * part))
    opacity, alone = (said[spec.outputs[0].channels.index(name)] for name in ("opacity", "alone"))
    found = find_opacities(grid.with_array(opacity), inside, ct.volume)
    there = inside.array > 0
    sure = reliability(grid.array, there, (opacity >= HALF) & there, (alone >= HALF) & there, grid.spacing)
    done(1.0)
    return Seen(found, sure)


def _on(lungs: hd.Volume, grid: hd.Volume) -> hd.Volume:
    """1 where a voxel of `grid` is mostly lung."""
    percent = lungs.with_array((lungs.array > 0) * np.uint8(100))
    return grid.with_array((resample_like(percent, grid) >= 50).astype(np.uint8))
