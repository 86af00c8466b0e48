"""What lies beside a tumour, or looks like one and is none: wedges of collapsed lung, consolidation, effusion."""

import numpy as np
from numpy.random import Generator

from .bodies import Box, Field, lumps, share_of, turned


def share(random: Generator, box: Box, radius_mm: float, deep: Field) -> Field:
    """How much of each voxel it fills, 0-1; to be kept within the lung. deep: mm from the lung's edge."""
    kind = random.random()
    if kind < 0.35:
        found = _wedge(random, box, radius_mm)
    elif kind < 0.75:
        found = _consolidation(random, box, deep)
    else:
        found = _effusion(random, box)
    return found * _within(box)


def _within(box: Box) -> Field:
    """Nothing at the box's edge: there it would be cut off straight."""
    sides = float(np.abs(box.offset[1:]).max())
    return np.asarray(np.clip((0.97 * sides - box.distance) / (0.25 * sides), 0.0, 1.0), np.float32)


def _wedge(random: Generator, box: Box, radius_mm: float) -> Field:
    """A cone that opens away from the middle, as lung behind a closed bronchus collapses."""
    axis = turned(random)[0]
    along = np.tensordot(axis, box.offset, 1)
    beside = np.sqrt(np.maximum((box.offset**2).sum(0) - along**2, 0.0))
    wide = np.tan(np.radians(random.uniform(15.0, 50.0)))
    depth = np.minimum(0.3 * radius_mm + along * wide - beside, radius_mm + random.uniform(10.0, 60.0) - along)
    depth = np.where(along > -0.3 * radius_mm, depth, -100.0)
    return share_of(depth + random.uniform(0.0, 3.0) * lumps(random, box, 10.0), random.uniform(2.0, 8.0))


def _consolidation(random: Generator, box: Box, deep: Field) -> Field:
    """Clouds, mostly at the pleura and at the back, with soft edges; not all of it is dense."""
    cloud = lumps(random, box, random.uniform(20.0, 50.0)) + 0.5 * lumps(random, box, 10.0)
    back = box.offset[1] / max(float(np.abs(box.offset[1]).max()), 1.0)
    height = cloud + random.uniform(0.0, 2.0) * (0.5 - deep / 20.0) + random.uniform(-0.3, 1.0) * back
    height = height - box.distance / max(float(box.distance.max()), 1.0) * 2.0 - random.uniform(-0.5, 1.0)
    dense = 1.0 if random.random() < 0.6 else random.uniform(0.3, 0.8)
    return np.asarray(dense * share_of(height, random.uniform(0.1, 1.0)), np.float32)


def _effusion(random: Generator, box: Box) -> Field:
    """Fluid below a level plane that is tilted and wavy a little, at the back."""
    level = random.uniform(-0.2, 0.6) * float(box.offset[1].max())
    tilt = random.uniform(-0.3, 0.3, 2)
    depth = box.offset[1] - level + tilt[0] * box.offset[0] + tilt[1] * box.offset[2]
    return share_of(depth + 2.0 * lumps(random, box, 30.0), random.uniform(2.0, 5.0))
