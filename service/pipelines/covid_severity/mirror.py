"""Compares the networks' answers on mirrored slices; where they differ, the result is doubtful.

Left and right mean nothing to lungs and opacities, so a network that knows what it sees answers the mirror image
alike. Every third slice is asked twice, which costs a third more and finds the same as asking all of them.
"""

from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.imaging.lungs import HALF


@dataclass(frozen=True, slots=True)
class SelfAgreement:
    """How far the networks say the same of mirrored slices: Dice, 0 to 1. Low where they are out of their depth."""

    lungs: float
    opacities: float


EVERY = 3
"""Slices from one that is asked twice to the next."""

SLACK_ML = 1.0
"""Volume that counts as agreed from the start, so that a few stray voxels in a healthy lung mean nothing."""

Probability = NDArray[np.uint8]
"""UINT8, 128 = threshold; axes (slice, row, column)."""


def mirrored(grid: hd.Volume) -> hd.Volume:
    """Every third slice with left and right exchanged, on a model grid of axes (slice, row, column)."""
    some = grid[::EVERY]
    return some.with_array(np.ascontiguousarray(some.array[..., ::-1]))


def self_agreement(
    lung: tuple[Probability, Probability], opacity: tuple[Probability, Probability], inside: hd.Volume
) -> SelfAgreement:
    """Dice of what was found with what was found on `mirrored` slices.

    lung, opacity: probability of all slices as they are, and of the mirrored ones as the network gave it.
    inside: the lungs on the model grid, to which opacities are confined.
    """
    slack = SLACK_ML * 1000.0 / (float(inside.voxel_volume) * EVERY)
    lungs = inside.array[::EVERY] > 0
    return SelfAgreement(_dice(*lung, np.ones_like(lungs), slack), _dice(*opacity, lungs, slack))


def _dice(plain: Probability, in_mirror: Probability, within: NDArray[np.bool_], slack: float) -> float:
    first = (plain[::EVERY] >= HALF) & within
    second = (in_mirror[..., ::-1] >= HALF) & within
    both = 2.0 * np.count_nonzero(first & second) + slack
    return both / (np.count_nonzero(first) + np.count_nonzero(second) + slack)
