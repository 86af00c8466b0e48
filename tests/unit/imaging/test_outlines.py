"""Outlines of masks: filled again by another rasteriser they are the same pixels."""

import numpy as np
import pytest
from helpers.filled_contours import filled

from service.imaging.outlines import outlines

MANY = 10**6


def mask_of(picture: str) -> np.ndarray:
    """# is a pixel of the mask."""
    return np.array([[letter == "#" for letter in line] for line in picture.split()])


def area(corners: np.ndarray) -> float:
    rows, columns = corners.T
    return abs(float((rows * np.roll(columns, -1) - np.roll(rows, -1) * columns).sum())) / 2


def disc(radius: float, size: int = 41) -> np.ndarray:
    rows, columns = np.indices((size, size)) - size // 2
    return rows**2 + columns**2 <= radius**2


DAMAGED = disc(15)
DAMAGED[18:23, 10:30] = False
DAMAGED[20, 15:20] = True

PICTURES = {
    "one pixel": (".#.", 1),
    "the whole image": ("## ##", 1),
    "touches every border": ("#.# ### #.#", 1),
    "two islands": ("##..# ##..#", 2),
    "only a corner in common": ("#. .#", 2),
    "a ring": ("### #.# ###", 1),
    "a hole at a corner of another": ("##### #.### ##.## ##### #####", 1),
    "two holes, one below the other": ("#### #.## #### #.## ####", 1),
    "an island in a hole": ("##### #...# #.#.# #...# #####", 2),
    "a ring in a ring": ("####### #.....# #.###.# #.#.#.# #.###.# #.....# #######", 2),
    "open to the outside by a corner": (".### #.## ####", 1),
}


@pytest.mark.parametrize(("picture", "polygons"), PICTURES.values(), ids=PICTURES)
def test_filled_again_it_is_the_mask(picture: str, polygons: int) -> None:
    mask = mask_of(picture)
    found = outlines(mask, MANY)
    assert len(found) == polygons
    assert np.array_equal(sum(filled(mask.shape, one).astype(int) for one in found), mask)


def test_a_hole_inside_a_disc_stays_one_polygon() -> None:
    (outer, island) = sorted(outlines(DAMAGED, MANY), key=area, reverse=True)
    assert np.array_equal(filled(DAMAGED.shape, outer) ^ filled(DAMAGED.shape, island), DAMAGED)


def test_one_pixel_is_a_diamond_around_its_centre() -> None:
    (corners,) = outlines(mask_of("... .#. ..."), MANY)
    assert {tuple(one) for one in corners} == {(0.5, 1.0), (1.0, 1.5), (1.5, 1.0), (1.0, 0.5)}


def test_straight_edges_have_no_corners_between() -> None:
    (corners,) = outlines(np.ones((30, 40), np.bool_), MANY)
    assert len(corners) == 8


def test_there_is_none_of_an_empty_mask() -> None:
    assert outlines(np.zeros((5, 7), np.bool_), MANY) == []


def test_a_polygon_is_half_a_pixel_smaller_than_its_pixels_and_a_hole_as_well() -> None:
    """A disc without, with one and with two holes: the error does not grow with its size."""
    for holes, mask in enumerate((disc(15), disc(15), disc(15))):
        for number in range(holes):
            mask[20, 15 + 8 * number] = False
        assert sum(map(area, outlines(mask, MANY))) == np.count_nonzero(mask) - 0.5 * (1 - holes)


def test_no_centre_of_a_pixel_lies_near_an_edge() -> None:
    """Also none near the edges that join a hole: whatever a rasteriser does at an edge, it fills the same."""
    centres = np.stack(np.indices(DAMAGED.shape), axis=-1).reshape(-1, 2).astype(float)
    for corners in outlines(DAMAGED, MANY):
        for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            along = end - start
            part = np.clip((centres - start) @ along / (along @ along), 0, 1)
            assert np.linalg.norm(centres - start - part[:, None] * along, axis=1).min() > 1 / 3


def test_a_mask_with_too_many_corners_is_cut_in_two() -> None:
    mask = np.random.default_rng(3).random((40, 60)) < 0.6
    assert max(map(len, outlines(mask, MANY))) > 100
    found = outlines(mask, 100)
    assert max(map(len, found)) <= 100
    assert np.array_equal(sum(filled(mask.shape, one).astype(int) for one in found), mask)
