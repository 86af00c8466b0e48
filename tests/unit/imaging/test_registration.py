"""Rigid registration of lungs: where a point of the earlier CT lies in the present one."""

import highdicom as hd
import numpy as np
import pytest
from helpers import make_ct
from helpers.two_visits import FINE, FIRST, LEFT, RIGHT, SECOND, visit

from service.imaging.read import read_ct
from service.imaging.registration import register


def lungs(**options: object) -> hd.Volume:
    """A mask of the phantom's lungs, truth itself."""
    scan = make_ct.make(**options)
    return read_ct(scan.datasets).volume.with_array((scan.truth.lobe_mask > 0).astype(np.uint8))


@pytest.mark.parametrize("orientation", ["HFS", "HFP", "FFDL"])
def test_a_shift_is_found_in_every_position(orientation: str) -> None:
    centre, moved = (4.5, -160.25, -700.5), (44.5, -130.25, -500.5)
    found = register(lungs(centre_mm=centre), lungs(centre_mm=moved, orientation=orientation))
    assert found is not None and found.overlap > 0.95
    for place in (RIGHT, LEFT):
        expected = np.array([*(np.array(moved) + place), 1.0])
        assert np.abs(found.to_now @ [*(np.array(centre) + place), 1.0] - expected).max() < 1.0


def test_a_turned_and_stretched_patient_is_found_within_millimetres() -> None:
    turned = visit(SECOND, turned_deg=8.0, stretched=1.04)
    masks = [_thin(datasets) for datasets in (visit(FIRST), turned)]
    found = register(*masks)
    assert found is not None and found.overlap > 0.9
    angle = np.radians(8.0)
    motion = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1.04]])
    there = np.array([4.5, -160.25, -700.5]) + RIGHT
    assert np.linalg.norm((found.to_now @ [*there, 1.0])[:3] - motion @ there) < 5.0


def _thin(datasets: list) -> hd.Volume:
    volume = read_ct(datasets).volume
    body = np.hypot(*(np.indices(volume.array.shape[1:]) - np.array(volume.array.shape[1:])[:, None, None] / 2)) < 70
    return volume.with_array(((volume.array < -700) & (volume.array > -940) & body).astype(np.uint8))


def test_the_same_masks_give_the_same_motion_bit_for_bit() -> None:
    one, other = lungs(), lungs(centre_mm=(10.0, -150.0, -650.0), **FINE)
    first, again = register(one, other), register(one, other)
    assert first is not None and again is not None
    assert first.to_now.tobytes() == again.to_now.tobytes()


def test_lungs_of_another_shape_are_not_registered() -> None:
    whole = lungs()
    half = whole.array.copy()
    half[: len(half) // 2] = 0
    half[:, :, : half.shape[2] // 2] = 0
    assert register(whole, whole.with_array(half)) is None


def test_without_lungs_nothing_is_registered() -> None:
    whole = lungs()
    assert register(whole, whole.with_array(0 * whole.array)) is None
