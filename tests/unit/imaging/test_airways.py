"""Trachea, bronchi and bowel gas on phantoms; real ones in `test_lungs_on_real_ct.py`."""

import highdicom as hd
import numpy as np
import pytest
from scipy import ndimage

from service.imaging.airways import MOST_IN_LUNGS_ML, airways
from service.imaging.bowel_gas import bowel_gas

SHAPE = (60, 160, 160)
SLICE_MM, PIXEL_MM = 3.0, 2.0
Z, ROW, COLUMN = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
X_MM, Y_MM, Z_MM = (COLUMN - 79.5) * PIXEL_MM, (ROW - 79.5) * PIXEL_MM, Z * SLICE_MM
CARINA_MM = 75.0
WALL = np.zeros((3, 3, 3), np.bool_)
WALL[1] = ndimage.generate_binary_structure(2, 1)


def volume(hu: np.ndarray) -> hd.Volume:
    return hd.Volume.from_components(
        hu.astype(np.int16),
        spacing=(SLICE_MM, PIXEL_MM, PIXEL_MM),
        coordinate_system="PATIENT",
        position=(0.0, 0.0, 0.0),
        direction=np.array([[0, 0, 1.0], [0, 1, 0], [-1, 0, 0]]).flatten().tolist(),
    )


def lungs() -> np.ndarray:
    """Two ellipsoids that come near the middle, as lungs do at the hila."""
    both = [(((X_MM - at) / 55) ** 2 + (Y_MM / 75) ** 2 + ((Z_MM - 85) / 78) ** 2) < 1 for at in (-68, 68)]
    return both[0] | both[1]


def tree() -> np.ndarray:
    """A trachea of 16 mm from the first slice to the carina, and a bronchus of 12 mm into each lung."""
    trachea = (X_MM**2 + Y_MM**2 < 8**2) & (Z_MM < CARINA_MM)
    below = Z_MM - CARINA_MM
    bronchi = [((X_MM - side * below) ** 2 + Y_MM**2 < 6**2) & (below >= -4) & (below < 45) for side in (-1, 1)]
    return trachea | bronchi[0] | bronchi[1]


def chest(lung_hu: float = -850.0) -> np.ndarray:
    body = (X_MM / 150) ** 2 + (Y_MM / 110) ** 2 < 1
    hu = np.where(body, 40.0, -1000.0) + 0.0 * Z_MM
    hu[lungs()] = lung_hu
    hu[tree()] = -1000.0
    return np.asarray(hu)


@pytest.mark.parametrize("lung_hu", [-850.0, -700.0])
def test_trachea_and_main_bronchi_are_found_until_they_lie_in_the_lungs(lung_hu: float) -> None:
    found = airways(volume(chest(lung_hu)), lungs())
    assert not (found & ~tree() & ~lungs()).any()
    with_rim = ndimage.binary_dilation(found, WALL)
    outside = tree() & ~lungs()
    assert np.count_nonzero(with_rim & outside) > 0.97 * np.count_nonzero(outside)
    deep = lungs() & (np.abs(X_MM) > 40)
    assert not (found & deep).any(), "what lies in a lung belongs to it"


def test_lung_as_thin_as_air_is_no_airway() -> None:
    found = airways(volume(chest(-960.0)), lungs())
    assert np.count_nonzero(found & lungs()) * SLICE_MM * PIXEL_MM**2 / 1000 < 5.0


def test_without_a_trachea_nothing_is_taken_away() -> None:
    hu = chest()
    hu[tree()] = 40.0
    assert not airways(volume(hu), lungs()).any()


def with_gas(around_hu: float) -> tuple[hd.Volume, np.ndarray, np.ndarray]:
    """HU, what is taken for lung, and gas in its lower part, which has a wall of `around_hu`."""
    centre = ((X_MM - 70) ** 2 + (Y_MM + 20) ** 2 + (Z_MM - 140) ** 2) ** 0.5
    gas = np.asarray(centre < 20)
    hu = chest()
    hu[(centre < 32) & ~gas] = around_hu
    hu[gas] = -1000.0
    return volume(hu), lungs() | gas, gas


def test_gas_with_a_wall_below_the_diaphragm_is_no_lung() -> None:
    hu, taken, gas = with_gas(40.0)
    outside = np.zeros(SHAPE, np.bool_)
    found = bowel_gas(hu, taken, outside)
    assert np.count_nonzero(found & gas) == np.count_nonzero(gas & taken)
    assert np.count_nonzero(found) < 2.5 * np.count_nonzero(gas), "with its edge only"


def test_a_bulla_has_lung_around_it_and_stays() -> None:
    hu, taken, _ = with_gas(-850.0)
    assert not bowel_gas(hu, taken, np.zeros(SHAPE, np.bool_)).any()


def test_emphysema_of_both_bases_is_lung_however_thin_it_is() -> None:
    hu = chest()
    base = lungs() & (Z_MM > 100)
    hu[base] = -975.0
    assert not bowel_gas(volume(hu), lungs(), np.zeros(SHAPE, np.bool_)).any()


def test_much_air_beside_the_lung_is_not_taken_for_bowel() -> None:
    """As of a pneumothorax: it has the chest wall around it, but is far more than a network mistakes for lung."""
    hu, taken = chest(), lungs()
    air = np.asarray(((X_MM - 68) / 50) ** 2 + ((Y_MM + 45) / 28) ** 2 + ((Z_MM - 125) / 32) ** 2 < 1)
    hu[air] = -1000.0
    taken |= air
    assert np.count_nonzero(air) * SLICE_MM * PIXEL_MM**2 / 1000 > 100
    assert not bowel_gas(volume(hu), taken, np.zeros(SHAPE, np.bool_)).any()


def test_airways_that_leak_into_much_lung_are_not_told() -> None:
    hu = chest()
    hu[lungs() & (np.abs(X_MM) < 34)] = -1000.0  # a bulla at each hilum, as thin as the bronchi
    found = airways(volume(hu), lungs())
    assert np.count_nonzero(found & lungs()) * SLICE_MM * PIXEL_MM**2 / 1000 <= MOST_IN_LUNGS_ML


def test_no_lungs_no_gas() -> None:
    nothing = np.zeros(SHAPE, np.bool_)
    assert not bowel_gas(volume(chest()), nothing, nothing).any()
