"""Noise and calibration in the air of a phantom's trachea."""

import highdicom as hd
import numpy as np
import pytest
from helpers import make_ct
from numpy.typing import NDArray

from service.imaging.harmonise import PlaneGrid, to_plane_grid
from service.imaging.read import read_ct
from service.pipelines.lung_density.trachea import TracheaAir, trachea_air


def measured(change: float = 0.0, **options: float) -> TracheaAir | None:
    """Of a phantom; change: of all HU."""
    scan = make_ct.make(**{"slices": 60, "pixel_mm": (2.0, 2.0), "rows": 128, "columns": 176} | options)
    volume = read_ct(scan.datasets).volume
    hu: NDArray[np.int16] = (volume.array + change).clip(-1024, 3000).astype(np.int16)
    source: hd.Volume = volume.with_array(hu)
    grid = to_plane_grid(source, PlaneGrid(1.5, 256))
    lungs = to_plane_grid(lungs_of(volume, scan), PlaneGrid(1.5, 256)).array > 0
    return trachea_air(source, grid, lungs.view(np.uint8))


def lungs_of(volume: hd.Volume, scan: make_ct.PhantomCT) -> hd.Volume:
    return volume.with_array((scan.truth.lobe_mask > 0).astype(np.int16))


@pytest.mark.parametrize("noise_hu", [10.0, 25.0, 45.0])
def test_noise_is_measured_although_hounsfield_units_end_just_below_air(noise_hu: float) -> None:
    """Of a standard deviation of 45 HU three tenths of the air are cut off at -1024 HU."""
    found = measured(noise_hu=noise_hu)
    assert found is not None
    assert found.noise_hu == pytest.approx(noise_hu, rel=0.12)
    assert found.median_hu == pytest.approx(-1000.0, abs=4.0)


def test_a_shift_of_all_hounsfield_units_is_seen() -> None:
    found = measured(change=45.0, noise_hu=10.0)
    assert found is not None and found.median_hu == pytest.approx(-955.0, abs=2.0)
    assert found.noise_hu == pytest.approx(10.0, rel=0.12)


def test_without_a_trachea_nothing_is_measured() -> None:
    """The lowest slices hold lungs, but no trachea."""
    scan = make_ct.make(slices=30, pixel_mm=(2.0, 2.0), rows=128, columns=176, shift_z_mm=60.0)
    volume = read_ct(scan.datasets).volume
    grid = to_plane_grid(volume, PlaneGrid(1.5, 256))
    assert trachea_air(volume, grid, np.zeros(grid.spatial_shape, np.uint8)) is None
