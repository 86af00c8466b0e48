"""The lungs on the grid of the network that sees the slices around each slice."""

import highdicom as hd
import numpy as np
import pytest

from service.domain.ct import CT
from service.imaging.harmonise import PlaneGrid, slices_in_one, to_plane_grid
from service.imaging.lungs import Lungs
from service.pipelines.shared.context_opacities import _lungs_on

SLICES = 90


@pytest.mark.parametrize("slice_mm", [0.5, 0.6, 0.625, 0.9, 1.0, 1.25, 2.0, 2.5, 5.0])
def test_lungs_that_end_in_a_plane_end_there_whatever_the_slices(slice_mm: float) -> None:
    """Whether the slices of the lungs' own network nest in these or not."""
    affine = np.array([[0, 0, 1.5, 0.0], [0, 1.5, 0, 0.0], [-slice_mm, 0, 0, 100.0], [0, 0, 0, 1]])
    hu = np.full((SLICES, 32, 32), 40.0, np.float32)
    ct = CT((), hd.Volume(hu, affine, "PATIENT", "1.2.3"))
    on_source = np.zeros(hu.shape, np.uint8)
    on_source[20:60] = 1
    grid = to_plane_grid(ct.volume, PlaneGrid(1.5, 32, 2.5))
    other = to_plane_grid(ct.volume, PlaneGrid(2.0, 32, 1.25))
    found = _lungs_on(grid, Lungs(other, on_source, ()), ct)
    count = slices_in_one(slice_mm, 2.5)
    parts = [on_source[k : k + count, 0, 0].mean() for k in range(0, SLICES, count)]
    assert found[:, 16, 16].tolist() == [part >= 0.5 for part in parts]


def test_lungs_found_on_the_same_grid_are_taken_as_they_are() -> None:
    grid = hd.Volume(np.zeros((4, 8, 8), np.uint8), np.diag([-2.5, 1.5, 1.5, 1.0]), "PATIENT", "1.2.3")
    labels = np.zeros((4, 8, 8), np.uint8)
    labels[1:3, 2:5, 1:3], labels[1:3, 2:5, 5:7] = 1, 2
    lungs = Lungs(grid.with_array(labels), np.zeros((4, 8, 8), np.uint8), ())
    assert (_lungs_on(grid, lungs, CT((), grid)) == (labels > 0)).all()
