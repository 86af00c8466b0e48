"""Crops are those that lungmask's networks were trained on, and what is said about them comes back where it belongs."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pydicom
import pytest
from helpers import make_ct

from service.imaging.body_crop import body_box, to_body_crops
from service.imaging.harmonise import resample_like
from service.imaging.read import read_ct

DEMO_CT = sorted((Path(__file__).resolve().parents[3] / "demo" / "ct").glob("*.dcm"))
WINDOW = (-1024, 600)


def body(rows: slice, columns: slice, shape: tuple[int, int] = (200, 300)) -> np.ndarray:
    hu = np.full(shape, -1000.0, np.float32)
    hu[rows, columns] = 40.0
    return hu


def test_the_box_is_the_bodys_to_a_coarse_pixel() -> None:
    (top, bottom), (left, right) = body_box(body(slice(50, 150), slice(60, 240)))
    assert (top, bottom, left, right) == pytest.approx((50, 150, 60, 240), abs=3)


def test_lungs_are_inside_and_the_table_is_not() -> None:
    hu = body(slice(50, 150), slice(60, 240))
    hu[80:120, 80:140] = -850.0
    with_table = hu.copy()
    with_table[170:173, 20:280] = 100.0
    assert body_box(with_table) == body_box(hu)


def test_a_slice_of_air_is_taken_whole() -> None:
    assert body_box(body(slice(0, 0), slice(0, 0))) == ((0, 200), (0, 300))


def test_crops_are_clipped_whole_numbers_on_their_own_grids() -> None:
    volume = read_ct(make_ct.make(slices=12, noise_hu=400.0).datasets).volume
    crops = to_body_crops(volume, 64, WINDOW)
    assert len(crops) == 12
    assert {(crop.spatial_shape, crop.dtype) for crop in crops} == {((1, 64, 64), np.dtype(np.int16))}
    assert min(crop.array.min() for crop in crops) == -1024
    assert max(crop.array.max() for crop in crops) == 600
    heights = [crop.position[2] for crop in crops]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize("orientation", ["HFS", "FFP"])
def test_there_and_back_every_voxel_is_where_it_was(orientation: str) -> None:
    """A linear ramp survives linear interpolation, so any shift of the affine would show."""
    volume = read_ct(make_ct.make(slices=6, orientation=orientation).datasets).volume
    oriented = volume.to_patient_orientation("FPL")
    (_, row, column), body_hu = np.indices(oriented.spatial_shape), oriented.array > -500
    ramp = (row + 2 * column).astype(np.float32)
    for k, crop in enumerate(to_body_crops(volume, 64, WINDOW)):
        plane = oriented[k : k + 1]
        there = resample_like(plane.with_array(ramp[k : k + 1]), crop)
        back = resample_like(crop.with_array(there), plane)
        inside = np.zeros(body_hu[k].shape, bool)
        (top, bottom), (left, right) = body_box(oriented.array[k])
        inside[top:bottom, left:right] = True
        assert np.abs(back[0] - ramp[k])[inside].max() < 1e-3
        assert inside[body_hu[k]].mean() > 0.95


@pytest.mark.slow
def test_crops_are_lungmasks_own() -> None:
    """Bounding boxes equal, HU equal to the rounding, on real slices from the apex to the base."""
    utils = pytest.importorskip("lungmask.utils")
    volume = read_ct([pydicom.dcmread(path) for path in DEMO_CT]).volume[::13]
    expected, boxes = utils.preprocess(volume.to_patient_orientation("FPL").array, resolution=[256, 256])
    crops = to_body_crops(volume, 256, WINDOW)
    assert np.abs(np.concatenate([crop.array for crop in crops]) - expected).max() <= 0.5
    oriented: hd.Volume = volume.to_patient_orientation("FPL")
    ours = [body_box(plane.clip(*WINDOW)) for plane in oriented.array]
    assert [((t, b), (le, r)) for t, le, b, r in boxes] == ours
