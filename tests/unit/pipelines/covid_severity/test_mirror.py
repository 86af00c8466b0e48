"""Self-agreement is Dice between what is found and what is found in the mirror."""

import highdicom as hd
import numpy as np
import pytest

from service.pipelines.covid_severity.mirror import EVERY, mirrored, self_agreement

GRID = hd.Volume(np.zeros((9, 40, 60), np.int16), np.diag([3.0, 1.0, 1.0, 1.0]), "PATIENT")


def in_the_mirror(probability: np.ndarray) -> np.ndarray:
    return probability[::EVERY, :, ::-1]


def block(columns: slice) -> np.ndarray:
    probability = np.zeros(GRID.spatial_shape, np.uint8)
    probability[:, 5:35, columns] = 255
    return probability


def test_every_third_slice_is_mirrored_left_to_right() -> None:
    grid = GRID.with_array(np.arange(9 * 40 * 60, dtype=np.int16).reshape(9, 40, 60))
    turned = mirrored(grid)
    assert turned.spatial_shape == (3, 40, 60)
    assert np.array_equal(turned.array, grid.array[::3, :, ::-1])


def test_the_same_answer_is_full_agreement() -> None:
    lung, opacity = block(slice(10, 30)), block(slice(12, 16))
    found = self_agreement((lung, in_the_mirror(lung)), (opacity, in_the_mirror(opacity)), GRID.with_array(lung))
    assert (found.lungs, found.opacities) == (1.0, 1.0)


def test_agreement_is_dice_with_a_millilitre_of_slack() -> None:
    lung, first, second = block(slice(0, 60)), block(slice(10, 20)), block(slice(15, 25))
    found = self_agreement((lung, in_the_mirror(lung)), (first, in_the_mirror(second)), GRID.with_array(lung))
    one = 3 * 30 * 10  # voxels in the three slices that are asked twice
    slack = 1000.0 / 3.0 / EVERY  # 1 mL of 3 mm3 voxels, a third of it
    assert found.opacities == pytest.approx((one + slack) / (2 * one + slack))


def test_opacity_outside_the_lungs_and_specks_in_healthy_lungs_do_not_count() -> None:
    lung, outside = block(slice(0, 30)), block(slice(40, 60))
    speck = np.zeros_like(lung)
    speck[3, 20, 20] = 255
    none = np.zeros_like(lung)
    inside = GRID.with_array(lung)
    assert self_agreement((lung, in_the_mirror(lung)), (outside, in_the_mirror(none)), inside).opacities == 1.0
    assert self_agreement((lung, in_the_mirror(lung)), (speck, in_the_mirror(none)), inside).opacities > 0.98
