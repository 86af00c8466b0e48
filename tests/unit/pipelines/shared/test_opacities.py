"""Opacities lie in the lungs and are no specks."""

import highdicom as hd
import numpy as np

from service.pipelines.shared.opacities import MIN_COMPONENT_ML, find_opacities

AFFINE = np.array([[0, 0, 2.0, 0], [0, 2.0, 0, 0], [-2.0, 0, 0, 0], [0, 0, 0, 1]])
"""Voxels of 0.008 mL: seven make 0.056 mL, six 0.048 mL."""


def found(probability: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    volume = hd.Volume(probability, AFFINE, "PATIENT")
    return find_opacities(volume, lungs > 0, volume)


def test_specks_go_and_opacities_stay() -> None:
    assert 0.048 < MIN_COMPONENT_ML < 0.056
    probability = np.zeros((6, 20, 20), np.uint8)
    probability[1, 4, 2:9] = 200
    probability[4, 12, 2:8] = 200
    opacity = found(probability, np.ones((6, 20, 20), np.uint8))
    assert opacity[1, 4, 2:9].all()
    assert opacity.sum() == 7


def test_a_large_opacity_outside_the_lungs_does_not_save_a_speck_inside() -> None:
    probability = np.full((6, 20, 20), 200, np.uint8)
    lungs = np.zeros((6, 20, 20), np.uint8)
    lungs[3, 10, 10:13] = 1
    assert not found(probability, lungs)[lungs > 0].any()
