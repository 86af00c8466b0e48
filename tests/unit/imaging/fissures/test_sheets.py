"""Surfaces are pulled onto a bright sheet nearby, and nowhere else."""

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray

from service.imaging.fissures.sheets import pull_to_sheets
from service.imaging.fissures.vessels import Grains
from service.imaging.lobes import lung_boxes
from service.imaging.lungs import Side

Floats = NDArray[np.float64]

BOX = 64
SHAPE = (100, 80, 110)
AFFINE = np.array([[0, 0, 1.5, -82.5], [0, 1.5, 0, -60.0], [-2.0, 0, 0, 100.0], [0, 0, 0, 1]])
RIGHT, LEFT = np.s_[5:95, 5:75, 5:53], np.s_[5:95, 5:75, 57:105]

SIDES = np.zeros(SHAPE, np.uint8)
SIDES[RIGHT], SIDES[LEFT] = Side.RIGHT, Side.LEFT
VOLUME = hd.Volume(SIDES, AFFINE, "PATIENT")
LEFT_BOX = lung_boxes(VOLUME, BOX)[Side.LEFT]
X = AFFINE[0, 2] * np.arange(SHAPE[2]) + AFFINE[0, 3]
Y, Z = AFFINE[1, 1] * np.arange(SHAPE[1]) + AFFINE[1, 3], AFFINE[2, 0] * np.arange(SHAPE[0]) + AFFINE[2, 3]


def fissure_mm(x: Floats, y: Floats) -> Floats:
    """z in mm, to the head, of an oblique fissure that bulges."""
    return np.asarray(0.7 * y + 4.0 * np.cos(x / 25.0))


def grains(*contrasts: tuple[float, float], noise: float = 30.0, orientation: str = "FPL") -> Grains:
    """A left lung with noise and sheets 3 mm thick, each so many mm above the fissure and so many HU brighter."""
    hu = np.random.default_rng(3).normal(-850.0, noise, SHAPE).astype(np.float32)
    above_mm = Z[:, None, None] - fissure_mm(X[None, None], Y[None, :, None])
    for at_mm, contrast in contrasts:
        hu += np.float32(contrast) * (np.abs(above_mm - at_mm) < 2.0)
    hu[20:80:6, 10:70:6, ::7] = 30.0
    volume = VOLUME.with_array(hu).to_patient_orientation(orientation)
    lung = VOLUME.with_array(SIDES == Side.LEFT).to_patient_orientation(orientation)
    return Grains(volume.array, lung.array, lung.array & (volume.array > -600.0), volume.affine)


def surface(above_mm: float) -> Floats:
    """Heights of one surface so far above the fissure, axes (1, row, column), in voxels of the box."""
    row, column = np.indices((BOX, BOX))
    x, y = (LEFT_BOX.affine[a, b] * i + LEFT_BOX.affine[a, 3] for a, b, i in ((0, 2, column), (1, 1, row)))
    return np.asarray((fissure_mm(x, y) + above_mm - LEFT_BOX.affine[2, 3]) / LEFT_BOX.affine[2, 0])[None]


def off_mm(heights: Floats) -> float:
    inside = np.s_[0, 8:-8, 8:-8]
    return float(np.abs(heights - surface(0.0))[inside].mean() * LEFT_BOX.spacing[0])


@pytest.mark.parametrize("above_mm", [-8.0, 6.0])
@pytest.mark.parametrize("orientation", ["FPL", "HAR"])
def test_a_surface_is_pulled_onto_a_sheet_nearby(above_mm: float, orientation: str) -> None:
    pulled = pull_to_sheets(surface(above_mm), LEFT_BOX, grains((0.0, 60.0), orientation=orientation))
    assert off_mm(pulled) < 1.0


def test_the_same_ct_gives_the_same_heights() -> None:
    first, second = (pull_to_sheets(surface(6.0), LEFT_BOX, grains((0.0, 60.0))) for _ in range(2))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    "seen",
    [grains(), grains(noise=0.0), grains((0.0, 5.0)), grains((0.0, -60.0)), grains((60.0, 60.0))],
    ids=["noise", "nothing", "too faint", "a dark sheet", "too far"],
)
def test_without_a_clear_sheet_nothing_moves(seen: Grains) -> None:
    heights = surface(6.0)
    assert np.array_equal(pull_to_sheets(heights, LEFT_BOX, seen), heights)


def test_a_short_accessory_line_does_not_lead_away() -> None:
    seen = grains((0.0, 60.0))
    z, y = np.ogrid[: SHAPE[0], : SHAPE[1]]
    line = np.abs(Z[z] - fissure_mm(np.zeros(1), Y[y]) - 14.0) < 2.0
    seen.hu[:, :, 80:92] += np.float32(60.0) * (line & (Y[y] < -20.0))[:, :, None]
    assert off_mm(pull_to_sheets(surface(5.0), LEFT_BOX, seen)) < 1.5


def test_the_oblique_fissure_is_not_taken_for_the_horizontal_one() -> None:
    oblique, horizontal = surface(3.0), surface(7.0)
    pulled = pull_to_sheets(np.concatenate([oblique, horizontal]), LEFT_BOX, grains((0.0, 60.0)))
    assert off_mm(pulled[:1]) < 1.0
    assert np.array_equal(pulled[1:], horizontal)
