"""Area of the piece of surface between eight neighbouring voxels, for each of the 256 ways they can be labelled.

The surface is that of marching cubes through the middles of the cube's edges. Two rules make the pieces unique:
where labelled corners meet only across a diagonal, the part with fewer corners is the one that is cut apart, and a
polygon that is not flat is folded so that its area is greatest in a cube-shaped voxel.
"""

from collections import defaultdict
from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

CORNERS = tuple(product((0, 1), repeat=3))
"""Bit k of a code is the voxel at index + CORNERS[k]."""

Point = tuple[float, float, float]
Triangle = tuple[Point, Point, Point]


def surfel_areas(spacing_mm: tuple[float, float, float]) -> NDArray[np.float64]:
    """Area in mm^2 for every code of `CORNERS`, shape (256,); spacing_mm: distance between voxels along each axis."""
    return np.array([sum(_area(triangle, spacing_mm) for triangle in _triangles(code)) for code in range(256)])


@cache
def _triangles(code: int) -> tuple[Triangle, ...]:
    """The surface in a unit cube."""
    inside = {corner for bit, corner in enumerate(CORNERS) if code >> bit & 1}
    if len(inside) > 4:
        inside = set(CORNERS) - inside
    return tuple(t for polygon in _polygons(inside) for t in _folded(tuple(polygon))[1])


def _polygons(inside: set[tuple[int, ...]]) -> list[list[Point]]:
    """Closed lines on the cube's faces that cut the inside corners off."""
    neighbours: defaultdict[Point, list[Point]] = defaultdict(list)
    for axis, side in product(range(3), (0, 1)):
        square = [(0, 0), (0, 1), (1, 1), (1, 0)]
        ring = [(*corner[:axis], side, *corner[axis:]) for corner in square]
        for start, end in _runs([corner in inside for corner in ring]):
            a, b = _middle(ring[start - 1], ring[start]), _middle(ring[end], ring[(end + 1) % 4])
            neighbours[a].append(b)
            neighbours[b].append(a)
    polygons = []
    while neighbours:
        polygon = [min(neighbours)]
        while polygon[-1] in neighbours:
            here = polygon[-1]
            polygon += [p for p in neighbours.pop(here) if p in neighbours][:1]
        polygons.append(polygon)
    return polygons


def _runs(ring: list[bool]) -> list[tuple[int, int]]:
    """First and last position of each run of True around a ring that is not all True."""
    starts = [i for i in range(4) if ring[i] and not ring[i - 1]]
    ends = [next(i + k for k in range(4) if not ring[(i + k + 1) % 4]) % 4 for i in starts]
    return list(zip(starts, ends, strict=True))


def _middle(a: tuple[int, ...], b: tuple[int, ...]) -> Point:
    x, y, z = ((i + j) / 2 for i, j in zip(a, b, strict=True))
    return x, y, z


def _folded(polygon: tuple[Point, ...]) -> tuple[float, tuple[Triangle, ...]]:
    """The polygon's triangles of the greatest total area in a unit cube, and that area."""
    if len(polygon) < 3:
        return 0.0, ()
    choices = []
    for k in range(1, len(polygon) - 1):
        triangle = (polygon[0], polygon[k], polygon[-1])
        (area, left), (other, right) = _folded(polygon[: k + 1]), _folded(polygon[k:])
        choices.append((round(area + other + _area(triangle, (1.0, 1.0, 1.0)), 9), (triangle, *left, *right)))
    return max(choices)


def _area(triangle: Triangle, spacing_mm: tuple[float, float, float]) -> float:
    a, b, c = np.array(triangle) * spacing_mm
    return float(np.linalg.norm(np.cross(b - a, c - a))) / 2
