"""Outlines of any mask, filled again, are the mask; and their area is that of its pixels, but for half a pixel each."""

import numpy as np
from helpers.filled_contours import filled
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import label

from service.imaging.outlines import outlines

masks = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=14))
many = settings(max_examples=150, deadline=None)


@many
@given(masks, st.sampled_from([16, 40, 10**6]))
def test_an_outline_holds_the_centres_of_its_pixels(mask: np.ndarray, most_corners: int) -> None:
    found = outlines(mask, most_corners)
    assert all(4 <= len(one) <= most_corners for one in found)
    assert np.array_equal(sum((filled(mask.shape, one).astype(int) for one in found), np.zeros(mask.shape, int)), mask)


@many
@given(masks)
def test_the_area_is_that_of_the_pixels_less_half_of_one_for_each_island_and_more_for_each_hole(
    mask: np.ndarray,
) -> None:
    islands = label(np.pad(mask, 1))[1]
    holes = label(np.pad(~mask, 1, constant_values=True), np.ones((3, 3)))[1] - 1
    area = 0.0
    for rows, columns in (one.T for one in outlines(mask, 10**6)):
        area += abs(float((rows * np.roll(columns, -1) - np.roll(rows, -1) * columns).sum())) / 2
    assert area == np.count_nonzero(mask) - 0.5 * (islands - holes)
