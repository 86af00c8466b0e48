"""The grid of the paper, 512 x 512 pixels of 1 mm by nearest neighbour: a mask comes back within half a pixel,
along rows and columns."""

import highdicom as hd
import numpy as np
from helpers import make_ct
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from service.imaging.harmonise import AIR_HU, resample_like
from service.imaging.nearest_grid import to_nearest_grid
from service.pipelines.nsclc_gtv.model_roles import PAPER_MM, PAPER_SIZE

orientations = st.sampled_from(sorted(make_ct.ORIENTATIONS))
pixels_mm = st.floats(0.45, 1.6)
places = st.tuples(st.floats(-8.0, 8.0), st.floats(-8.0, 8.0))


def volume_of(orientation: str, pixel_mm: float, rows: int = 90, columns: int = 110) -> hd.Volume:
    spec = make_ct.Spec(slices=4, rows=rows, columns=columns, pixel_mm=(pixel_mm, pixel_mm), orientation=orientation)
    return hd.Volume(np.zeros((4, rows, columns), np.int16), spec.affine, "PATIENT")


def ellipse(volume: hd.Volume, place: tuple[float, float], pixel_mm: float) -> np.ndarray:
    """A mask of an ellipse in each slice, 18 and 12 pixels in radius."""
    row, column = np.mgrid[: volume.shape[1], : volume.shape[2]]
    middle = (np.array(volume.shape[1:]) - 1) / 2 + np.array(place)
    inside = ((row - middle[0]) / 18.0) ** 2 + ((column - middle[1]) / 12.0) ** 2 <= 1.0
    return np.repeat(inside[None], volume.shape[0], axis=0)


@settings(max_examples=60, deadline=None)
@given(orientations, pixels_mm, places)
def test_a_mask_comes_back_within_half_a_pixel(orientation: str, pixel_mm: float, place: tuple[float, float]) -> None:
    source = volume_of(orientation, pixel_mm)
    mask = ellipse(source, place, pixel_mm)
    there = to_nearest_grid(source.with_array(np.where(mask, 1000, 0).astype(np.int16)), PAPER_MM, PAPER_SIZE)
    assert there.spatial_shape == (4, PAPER_SIZE, PAPER_SIZE) and np.allclose(there.spacing[1:], PAPER_MM)
    said = there.with_array(np.where(there.array >= 500, 255, 0).astype(np.uint8))
    back = resample_like(said, source) >= 128
    assert back.shape == mask.shape
    for before, after in zip(mask, back, strict=True):
        wrong = before != after
        pixels = np.where(before, *(ndimage.distance_transform_cdt(one, "chessboard") for one in (before, ~before)))
        beyond_mm = (pixels[wrong] - 0.5) * pixel_mm
        assert beyond_mm.max(initial=0.0) <= max(PAPER_MM, pixel_mm) / 2 + 1e-6


@settings(max_examples=30, deadline=None)
@given(orientations, pixels_mm)
def test_every_pixel_is_that_of_the_ct_nearest_to_it(orientation: str, pixel_mm: float) -> None:
    source = volume_of(orientation, pixel_mm)
    values = np.random.default_rng(1).integers(-1000, 1000, source.shape).astype(np.int16)
    grid = to_nearest_grid(source.with_array(values), PAPER_MM, PAPER_SIZE)
    at = np.array([[0, 256, 256], [3, 230, 280], [1, 245, 250], [2, 256, 270]])
    found = source.map_reference_to_indices(grid.map_indices_to_reference(at.astype(float)))
    for voxel, index in zip(at, found, strict=True):
        near = [sorted({int(np.rint(one - 1e-6)), int(np.rint(one + 1e-6))}) for one in index]
        if all(0 <= one < size for ones, size in zip(near, source.shape, strict=True) for one in ones):
            assert grid.array[tuple(voxel)] in values[np.ix_(*near)]


def test_what_is_beyond_the_image_is_air_and_what_is_beyond_the_grid_is_cropped() -> None:
    small = volume_of("HFP", 1.0)
    padded = to_nearest_grid(small, PAPER_MM, PAPER_SIZE).array[0]
    assert (padded == AIR_HU).sum() == PAPER_SIZE**2 - 90 * 110 and padded[256, 256] == 0
    large = volume_of("FFS", 1.5, 400, 400)
    cropped = to_nearest_grid(large, PAPER_MM, PAPER_SIZE)
    assert (cropped.array == 0).all()
    middle = [grid.map_indices_to_reference((np.array([grid.spatial_shape]) - 1) / 2) for grid in (large, cropped)]
    assert np.allclose(*middle)
