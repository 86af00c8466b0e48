"""Boxes hold all they are said to hold."""

import numpy as np

from service.imaging.boxes import bounds, clipped, label_bounds


def test_bounds_grow_by_the_margin_and_are_clipped_to_the_array() -> None:
    mask = np.zeros((6, 8), np.bool_)
    mask[1, 3], mask[2, 7] = True, True
    assert bounds(mask, (0, 0)) == (slice(1, 3), slice(3, 8))
    grown = bounds(mask, (2, 1))
    assert grown == (slice(-1, 5), slice(2, 9))
    assert clipped(grown, mask.shape) == (slice(0, 5), slice(2, 8))


def test_the_box_of_a_label_is_that_of_its_mask() -> None:
    labels = np.zeros((5, 6, 7), np.uint8)
    labels[1, 2, 6], labels[3, 4, 0], labels[0, 0, 3] = 2, 2, 1
    assert label_bounds(labels, 2) == bounds(labels == 2, (0, 0, 0)) == (slice(1, 4), slice(2, 5), slice(0, 7))
