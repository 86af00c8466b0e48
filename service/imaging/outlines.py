"""Outlines of a mask in one slice: polygons that hold exactly the centres of its pixels.

An outline runs halfway between pixels of the mask and those around them, at 0.5 between 0 and 1 (marching squares:
Lorensen and Cline 1987, in the plane). So filling it again, whatever the rasteriser, gives the same pixels: each centre
lies at least a third of a pixel away. Pixels that only touch by a corner are apart. A polygon is smaller than its
pixels by half a pixel, as corners are cut.

A hole is no polygon of its own but joined to the outline around it by two edges in one place (keyhole technique,
PS3.3 C.8.8.6.3), which no centre of a pixel lies on: by even-odd rule, winding number or union it stays empty.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Polygon = NDArray[np.float64]
"""Corners, shape (n, 2): row and column in pixels, where the centre of the first pixel is (0, 0). Not closed again."""

_Ints = NDArray[np.int64]

_OUTWARD = ((-1, 0), (0, 1), (1, 0), (0, -1))
_FORWARD = ((0, 1), (1, 0), (0, -1), (-1, 0))
"""For the upper, right, lower and left side of a pixel: where its neighbour is, and which way the outline runs.

The mask is at the right hand of who follows it.
"""


def outlines(mask: Mask, most_corners: int) -> list[Polygon]:
    """The polygons of a mask, axes (row, column); none of an empty one.

    most_corners: of one polygon, 16 or more. Where one has more, the mask is cut in two between pixels.
    """
    polygons = list(_polygons(mask))
    if all(len(polygon) <= most_corners for polygon in polygons):
        return polygons
    return [polygon for half in _halves(mask) for polygon in outlines(half, most_corners)]


def _halves(mask: Mask) -> Iterator[Mask]:
    """The mask on either side of the middle of its bounding box, across the longer side."""
    used = [np.flatnonzero(mask.any(axis=1 - axis)) for axis in (0, 1)]
    axis = int(np.ptp(used[1]) > np.ptp(used[0]))
    before = np.arange(mask.shape[axis]) <= (used[axis][0] + used[axis][-1]) // 2
    side = before[:, None] if axis == 0 else before[None, :]
    yield mask & side
    yield mask & ~side


def _polygons(mask: Mask) -> Iterator[Polygon]:
    corners, following = _corners(mask)
    (rows, columns), (next_rows, next_columns) = corners.T, corners[following].T
    areas = (columns * next_rows - next_columns * rows).tolist()  # twice that of a triangle with the first pixel
    loops = _loops(following.tolist())
    outer: list[list[int]] = []
    holes: list[list[int]] = []
    for loop in loops:
        (outer if sum(areas[corner] for corner in loop) > 0 else holes).append(loop)
    if holes:
        corners, outer = _joined(corners, following, outer, holes)
    for loop in outer:
        yield _without_straight(corners[loop]) / 2.0


def _corners(mask: Mask) -> tuple[_Ints, _Ints]:
    """Middles between a pixel and a neighbour outside, and the number of the one that follows each.

    Corners: twice row and column, so that they are whole numbers.
    """
    padded = np.pad(mask, 1)
    width, flat = padded.shape[1], padded.ravel()
    inside = np.flatnonzero(flat)
    keys, next_keys, corners = [], [], []
    for side, (outward, forward) in enumerate(zip(_OUTWARD, _FORWARD, strict=True)):
        outward_by, forward_by = (row * width + column for row, column in (outward, forward))
        pixel = inside[~flat[inside + outward_by]]
        ahead, beside = pixel + forward_by, pixel + forward_by + outward_by
        goes_on, is_beside = flat[ahead], flat[beside]  # else it runs on around the same pixel
        next_side = np.where(goes_on, np.where(is_beside, (side + 3) % 4, side), (side + 1) % 4)
        next_pixel = np.where(goes_on, np.where(is_beside, beside, ahead), pixel)
        keys.append(side * flat.size + pixel)
        next_keys.append(next_side * flat.size + next_pixel)
        corners.append(2 * (np.stack(np.divmod(pixel, width), axis=1) - 1) + outward)
    return np.concatenate(corners), np.searchsorted(np.concatenate(keys), np.concatenate(next_keys))


def _loops(following: Sequence[int], starts: Sequence[int] | None = None) -> list[list[int]]:
    """Numbers of the corners of each closed line; of all, or of those with one of `starts`."""
    seen, loops = bytearray(len(following)), []
    for start in range(len(following)) if starts is None else starts:
        loop, here = [], start
        while not seen[here]:
            seen[here] = 1
            loop.append(here)
            here = following[here]
        if loop:
            loops.append(loop)
    return loops


def _joined(
    corners: _Ints, following: _Ints, outer: Sequence[list[int]], holes: Sequence[list[int]]
) -> tuple[_Ints, list[list[int]]]:
    """All corners, and the loops that are left when each hole is joined to the line above it.

    The edges run up from the leftmost corner of a hole, the highest of several, between two columns of pixels: beside
    it and above it is mask. From the lowest hole to the highest, so that two at one corner do not cross.
    """
    more, after = corners.tolist(), following.tolist()
    above = _above(corners, following)
    starts = [min(hole, key=lambda one: (more[one][1], more[one][0])) for hole in holes]
    for start in sorted(starts, key=lambda one: -more[one][0]):
        hit, column = above[start], more[start][1]
        if more[hit][1] != column:  # in the middle of an edge
            hit = _insert(more, after, hit, [more[hit][0], column])
        back = _insert(more, after, hit, more[hit])
        leaving = _insert(more, after, start, more[start])
        after[hit], after[start] = leaving, back
    return np.array(more, np.int64), _loops(after, [loop[0] for loop in outer])


def _above(corners: _Ints, following: _Ints) -> dict[int, int]:
    """For each corner between two columns the next one above it, or the corner whose edge along a row crosses there."""
    to = corners[following]
    along_row = np.abs(to[:, 1:] - corners[:, 1:]) == 2
    places = np.where(along_row, (corners + to) // 2, corners)
    between = np.flatnonzero(places[:, 1] % 2)
    upwards = between[np.lexsort((-places[between, 0], places[between, 1]))].tolist()
    return dict(pairwise(upwards))


def _insert(corners: list[list[int]], after: list[int], before: int, corner: list[int]) -> int:
    """Number of a new corner that follows the corner `before`."""
    corners.append(corner)
    after.append(after[before])
    after[before] = len(corners) - 1
    return after[before]


def _without_straight(polygon: _Ints) -> _Ints:
    """The polygon without corners at which its edges go straight on."""
    after = np.roll(polygon, -1, axis=0) - polygon
    before = np.roll(after, 1, axis=0)
    turn = before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]
    corners: _Ints = polygon[(turn != 0) | ((before * after).sum(axis=1) < 0)]
    return corners
