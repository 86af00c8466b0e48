"""Dense thin things in a lung are vessels, dense thick ones are not, and noise is neither."""

import highdicom as hd
import numpy as np
import pytest
from numpy.typing import NDArray

from service.imaging.fissures.vessels import Density, find_density
from service.imaging.lobes import lung_boxes
from service.imaging.lungs import Lungs, Side

SHAPE = (70, 60, 90)
AFFINE = np.array([[0, 0, 1.5, -66.0], [0, 1.5, 0, -44.0], [-2.0, 0, 0, 70.0], [0, 0, 0, 1]])
RIGHT, LEFT = np.s_[4:66, 4:56, 4:42], np.s_[4:66, 4:56, 48:86]


def chest() -> tuple[NDArray[np.float32], hd.Volume]:
    """HU of two boxes of lung in soft tissue, and their labels."""
    hu, sides = np.full(SHAPE, 40.0, np.float32), np.zeros(SHAPE, np.uint8)
    for side, part in ((Side.RIGHT, RIGHT), (Side.LEFT, LEFT)):
        hu[part], sides[part] = -850.0, side
    return hu, hd.Volume(sides, AFFINE, "PATIENT")


def density(hu: NDArray[np.float32], sides: hd.Volume, orientation: str = "FPL") -> dict[Side, Density]:
    source = sides.with_array(hu).to_patient_orientation(orientation)
    lungs = Lungs(sides, sides.to_patient_orientation(orientation).array, ())
    return {side: find_density(source, lungs, side, box) for side, box in lung_boxes(sides, 64).items()}


@pytest.mark.parametrize("orientation", ["FPL", "HAR"])
def test_a_vessel_is_found_where_it_is(orientation: str) -> None:
    hu, sides = chest()
    hu[20:50, 30:32, 20:22] = 30.0
    found = density(hu, sides, orientation)
    assert not found[Side.LEFT].vessels.any()
    vessel = np.argwhere(found[Side.RIGHT].vessels)
    box = lung_boxes(sides, 64)[Side.RIGHT]
    x, y, z = (box.affine[:3, :3] @ vessel.T + box.affine[:3, 3:]).round(1)
    assert np.abs(x - (-66.0 + 1.5 * 20.5)).max() < 2.5
    assert np.abs(y - (-44.0 + 1.5 * 30.5)).max() < 2.5
    assert (z.min(), z.max()) == (pytest.approx(70 - 2 * 49.5, abs=3), pytest.approx(70 - 2 * 19.5, abs=3))


def test_consolidation_is_no_vessel() -> None:
    hu, sides = chest()
    hu[30:60, 10:40, 10:40] = 20.0
    found = density(hu, sides)[Side.RIGHT]
    assert found.consolidation.mean() > 0.15
    assert found.vessels.mean() < 0.02


def test_neither_fissures_nor_ground_glass_nor_noise_are_vessels() -> None:
    hu, sides = chest()
    hu[35, 4:56, 4:86] = -700.0
    hu[50:60, 10:50, 10:40] = -680.0
    lung = sides.array > 0
    hu[lung] += np.random.default_rng(0).normal(0.0, 40.0, np.count_nonzero(lung))
    found = density(hu, sides)
    assert max(of.vessels.mean() for of in found.values()) < 0.002
    assert not any(of.consolidation.any() for of in found.values())
