"""Figures that go with the error of a result, on arrays."""

import numpy as np
import pytest

from service.pipelines.shared.domes import ABOVE_MM, at_domes
from service.pipelines.shared.reliability import LEAST_AGREEMENT, reliability

SPACING = (5.0, 2.0, 2.0)
LUNGS = np.zeros((20, 60, 40), np.bool_)
LUNGS[2:18, 10:50, 5:35] = True
NOTHING = np.zeros_like(LUNGS)


def hu(front: int = -850, back: int = -850) -> np.ndarray:
    rows = np.linspace(front, back, 40)
    image = np.full(LUNGS.shape, 40, np.int16)
    image[:, 10:50] = np.where(LUNGS[:, 10:50], np.rint(rows)[None, :, None], 40)
    return image


def test_clear_lung_can_be_relied_on() -> None:
    found = reliability(hu(), LUNGS, NOTHING, SPACING, 1.0)
    assert (found.agreement, found.clear_hu, found.gradient_hu, found.dome_percent) == (1.0, -850.0, 0.0, 0.0)
    assert found.why_not == ""


def test_two_networks_that_differ_cannot() -> None:
    assert "Two networks" in reliability(hu(), LUNGS, NOTHING, SPACING, LEAST_AGREEMENT - 0.01).why_not


@pytest.mark.parametrize(("front", "back", "side"), [(-805, -427, "back"), (-427, -805, "front")])
def test_shallow_breathing_is_told_by_the_gradient_supine_or_prone(front: int, back: int, side: str) -> None:
    found = reliability(hu(front, back), LUNGS, NOTHING, SPACING, 1.0)
    assert found.gradient_hu is not None
    assert abs(found.gradient_hu) == pytest.approx(378 * 2 / 3, abs=15)
    assert f"denser at the {side}" in found.why_not


def test_lungs_that_are_all_opacity_have_no_clear_lung_to_compare_with() -> None:
    found = reliability(hu(), LUNGS, LUNGS, SPACING, 1.0)
    assert found.clear_hu is None and found.gradient_hu is None
    assert "clear lung" in found.why_not


def test_domes_are_the_lung_above_where_it_ends() -> None:
    domes = at_domes(LUNGS, 5.0)
    slices = np.flatnonzero(domes.any((1, 2)))
    assert slices.tolist() == list(range(18 - int(ABOVE_MM / 5.0), 18))
    assert not (domes & ~LUNGS).any()
    cut = LUNGS.copy()
    cut[18:] = cut[17]  # the images end before the lung does
    assert not at_domes(cut, 5.0).any()
    opacity = NOTHING.copy()
    opacity[16:18, 20:30, 10:20] = True
    assert reliability(hu(), LUNGS, opacity, SPACING, 1.0).dome_percent == 100.0
