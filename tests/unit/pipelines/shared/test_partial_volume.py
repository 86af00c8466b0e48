"""What the lung's upper and lower surfaces explain is no opacity; what is thicker, or inside, is."""

import numpy as np
import pytest

from service.pipelines.shared.partial_volume import partial_volume


def lungs() -> np.ndarray:
    """Ten slices, head to feet; a dome rises into the last three."""
    inside = np.ones((10, 20, 20), np.bool_)
    for k, radius in ((7, 3), (8, 6), (9, 9)):
        y, x = np.mgrid[:20, :20] - 10
        inside[k][y**2 + x**2 <= radius**2] = False
    return inside


def explained(opacity: np.ndarray, slice_mm: float = 5.0) -> np.ndarray:
    return partial_volume(opacity, lungs(), slice_mm)


def test_a_slice_of_opacity_on_the_dome_is_explained() -> None:
    opacity = np.zeros((10, 20, 20), np.bool_)
    opacity[6, 8:13, 8:13] = True
    dome = ~lungs()[7]
    assert np.array_equal(explained(opacity)[6], opacity[6] & dome)


def test_the_same_opacity_inside_the_lung_is_believed() -> None:
    opacity = np.zeros((10, 20, 20), np.bool_)
    opacity[4, 8:13, 8:13] = True
    assert not explained(opacity).any()


def test_an_opacity_of_two_thick_slices_on_the_dome_is_believed() -> None:
    opacity = np.zeros((10, 20, 20), np.bool_)
    opacity[5:7, 8:13, 8:13] = True
    assert not explained(opacity).any()


@pytest.mark.parametrize(("slices", "believed"), [(3, False), (4, False), (5, True)])
def test_thin_slices_count_by_millimetres(slices: int, believed: bool) -> None:
    opacity = np.zeros((10, 20, 20), np.bool_)
    opacity[7 - slices : 7, 10, 10] = True
    assert explained(opacity, slice_mm=1.0).any() == (not believed)


def test_the_upper_surface_explains_too_and_the_end_of_the_ct_does_not() -> None:
    opacity = np.zeros((10, 20, 20), np.bool_)
    opacity[9, 0, 0] = True
    assert not explained(opacity).any()
    assert partial_volume(opacity[::-1], np.ones((10, 20, 20), np.bool_), 5.0).sum() == 0
    upside_down = np.zeros((10, 20, 20), np.bool_)
    upside_down[3, 10, 10] = True
    assert partial_volume(upside_down, lungs()[::-1], 5.0)[3, 10, 10]
