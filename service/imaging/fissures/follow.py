"""Pull the lobes' borders to where no vessels are: a patient's own fissures from a population's.

A fissure is a height over the columns of a lung's box. What a model says about lobes gives its mean and its standard
deviation per column. Among the surfaces of this family the one is sought that keeps farthest from vessels and nearest
to the mean (maximum a posteriori). Where even the best is hardly farther from vessels than any place of the lung, the
model's word stands. Where a fissure's own line can be seen nearby, the surface is pulled onto it (`sheets`).
"""

from concurrent.futures import ThreadPoolExecutor

import highdicom as hd
import numpy as np
from scipy import ndimage

from service.domain.ports import Step, no_step
from service.imaging.fissures.sheets import pull_to_sheets
from service.imaging.fissures.surface_fit import Family, Floats, Probability, search
from service.imaging.fissures.vessels import Density, find_density
from service.imaging.lungs import HALF, Lungs, Side

MIN_CLEARANCE = 0.04
"""Least mean clearance over a lung's columns, per fissure, for which the model's fissures are moved. Turned upside
down, left lungs seldom reach it, right ones half the time (docs/decisions/0019)."""

_MAX_CLEARANCE = 2.5
"""Distance to the nearest vessel in units of what is usual around; more tells no more."""

_SURROUNDINGS_MM, _LEAST_MM = 40.0, 2.0
_SMOOTHING = 0.7


def follow_fissures(
    probability: dict[Side, Probability],
    boxes: dict[Side, hd.Volume],
    volume: hd.Volume,
    lungs: Lungs,
    step: Step = no_step,
) -> dict[Side, Probability]:
    """The same with each lung's borders moved to its fissures; a lung with too little to go by keeps what came in.

    boxes: each lung, 0-255, in its box (`lobes.lung_boxes`). volume: HU on the source grid. step: called between the
    parts, from a thread per lung.
    """
    with ThreadPoolExecutor(len(Side)) as threads:
        moved = {
            side: threads.submit(_follow, probability[side], boxes[side], volume, lungs, side, step)
            for side in probability
        }
        return {side: future.result() for side, future in moved.items()}


def _follow(
    probability: Probability, box: hd.Volume, volume: hd.Volume, lungs: Lungs, side: Side, step: Step
) -> Probability:
    density = find_density(volume, lungs, side, box)
    step()
    if not density.vessels.any():
        return probability
    family = Family.of(probability)
    field = clearance(box, density)
    step()
    heights, reached = search(family, field)
    step()
    if reached < MIN_CLEARANCE * len(family.mean):
        return probability
    return _as_probability(pull_to_sheets(heights, box, density.grains))


def clearance(box: hd.Volume, density: Density) -> Floats:
    """How much farther from vessels than is usual around, less the lung's mean; 0 outside the lung and where
    consolidation hides vessels."""
    lung = box.array >= HALF
    away = ndimage.distance_transform_edt(~density.vessels, sampling=box.spacing)
    sigma = [_SURROUNDINGS_MM / mm for mm in box.spacing]
    weight = ndimage.gaussian_filter(lung.astype(float), sigma, truncate=2.0)
    usual = ndimage.gaussian_filter(np.where(lung, away, 0.0), sigma, truncate=2.0) / np.maximum(weight, 1e-3)
    relative = np.minimum(away / np.maximum(usual, _LEAST_MM), _MAX_CLEARANCE)
    seen = lung & ~density.consolidation
    middle = relative[seen].mean() if seen.any() else 0.0
    return np.asarray(ndimage.gaussian_filter(np.where(seen, relative - middle, 0.0), _SMOOTHING))


def _as_probability(heights: Floats) -> Probability:
    """Surfaces as probabilities that are 1/2 on them."""
    slices = np.arange(heights.shape[-1])[:, None, None]
    above = np.clip(heights[:, None] - slices + 0.5, 0.0, 1.0)
    upper = [above[0]] if len(above) == 1 else [above[0] * above[1], above[0] * (1.0 - above[1])]
    return np.rint(255.0 * np.stack([*upper, 1.0 - above[0]])).astype(np.uint8)
