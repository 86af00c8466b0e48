"""Diameters of a finding: the longest in an axial slice, the one across it, and the longest in space (RECIST 1.1; WHO).

The border of a mask runs half-way between a voxel inside and its neighbour outside. Diameters are taken between such
points, so a ball of whole voxels has that of the ball and not of the voxels' corners.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

Mask = NDArray[np.bool_]
Points = NDArray[np.float64]

_STEPS_IN_A_PIXEL = 4
"""How finely the diameter across is looked for."""

_PARALLEL = 1e-9
"""A line that moves less than this part of a pixel along an axis runs beside it."""

_TOUCHING = np.ones((3, 3), np.bool_)
"""Pixels that touch at a corner are of one part."""


@dataclass(frozen=True, slots=True)
class Diameter:
    """ends: two points in voxels, (slice, row, column), which may lie between voxels."""

    length_mm: float
    ends: tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Diameters:
    """slice_index: where `longest` is longest. longest: between any two points of the border of one connected part of a
    slice, even where this part curves away between them. across: the longest line at right angles to it that lies in
    the same part. in_space: between any two points of the border of the finding."""

    slice_index: int
    longest: Diameter
    across: Diameter
    in_space: Diameter


def diameters(mask: Mask, spacing_mm: tuple[float, float, float]) -> Diameters:
    """Measure one finding. mask: not empty; axes (slice, row, column), slices axial. Of equals, the first is told."""
    in_plane = np.array(spacing_mm[1:])
    number, part, length_mm, ends = _longest_part(mask, in_plane)
    longest = Diameter(length_mm, _in_slice(number, ends))
    across = _across(part, ends, in_plane)
    across_mm = float(np.linalg.norm(np.subtract(*across) * in_plane))
    if across_mm > length_mm:  # its steps may make it a little longer
        across_mm, across = length_mm, across.mean(0) + (across - across.mean(0)) * (length_mm / across_mm)
    return Diameters(number, longest, Diameter(across_mm, _in_slice(number, across)), _in_space(mask, spacing_mm))


def _longest_part(mask: Mask, spacing_mm: NDArray[np.float64]) -> tuple[int, Mask, float, Points]:
    """The slice, the connected part of it, the length in mm and the ends of the longest axial diameter."""
    number, best, length_mm, ends = 0, mask[0], 0.0, np.zeros((2, 2))
    for at in np.flatnonzero(mask.any((1, 2))).tolist():
        parts, _ = ndimage.label(mask[at], _TOUCHING)
        for label, box in enumerate(ndimage.find_objects(parts), 1):
            at_most = np.linalg.norm([(one.stop - one.start) * mm for one, mm in zip(box, spacing_mm, strict=True)])
            if at_most <= length_mm:
                continue
            part: Mask = parts == label
            found_mm, found = _longest(border(part), spacing_mm)
            if found_mm > length_mm:
                number, best, length_mm, ends = at, part, found_mm, found
    return number, best, length_mm, ends


def _in_space(mask: Mask, spacing_mm: tuple[float, float, float]) -> Diameter:
    length_mm, ends = _longest(border(mask), np.array(spacing_mm))
    (slice_, row, column), (other_slice, other_row, other_column) = ends.tolist()
    return Diameter(length_mm, ((slice_, row, column), (other_slice, other_row, other_column)))


def _in_slice(number: int, ends: Points) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    (row, column), (other_row, other_column) = ends.tolist()
    return (float(number), row, column), (float(number), other_row, other_column)


def border(mask: Mask) -> Points:
    """Points half-way between voxels inside and their neighbours outside, in voxels."""
    padded = np.pad(mask, 1)
    points = []
    for axis in range(mask.ndim):
        for step in (-1, 1):
            outside = ~np.roll(padded, -step, axis) & padded
            there = np.argwhere(outside) - 1.0
            there[:, axis] += step / 2
            points.append(there)
    return np.concatenate(points)


def _longest(points: Points, spacing_mm: NDArray[np.float64]) -> tuple[float, Points]:
    """The greatest distance of two points, in mm, and these points, in voxels."""
    corners = points[np.sort(ConvexHull(points * spacing_mm).vertices)]
    distances = squareform(pdist(corners * spacing_mm))
    first, last = np.unravel_index(int(distances.argmax()), distances.shape)
    return float(distances[first, last]), corners[[first, last]]


def _across(plane: Mask, ends: Points, spacing_mm: NDArray[np.float64]) -> Points:
    """The ends, in pixels, of the longest line within the mask at right angles to the line between `ends`.

    Steps may pass the border of the mask by half of one: the line ends where the box of the mask does, which may be the
    edge of the image.
    """
    start, stop = ends * spacing_mm
    along = (stop - start) / np.linalg.norm(stop - start)
    right_angled = np.array([-along[1], along[0]])
    step_mm = float(spacing_mm.min()) / _STEPS_IN_A_PIXEL
    reach = float(np.linalg.norm(stop - start))
    forward, sideways = np.arange(0, reach + step_mm, step_mm), np.arange(-reach, reach + step_mm, step_mm)
    at = start + forward[:, None, None] * along + sideways[None, :, None] * right_angled
    around = np.pad(plane, 1).astype(np.float32)
    inside = ndimage.map_coordinates(around, np.moveaxis(at / spacing_mm + 1, -1, 0), order=1) >= 0.5
    edges = np.diff(np.pad(inside, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    begins, after = np.argwhere(edges == 1), np.argwhere(edges == -1)
    runs = after[:, 1] - begins[:, 1]
    best = int(runs.argmax())
    line, first = begins[best]
    between = np.array([sideways[first] - step_mm / 2, sideways[first + runs[best] - 1] + step_mm / 2])
    points = (start + forward[line] * along + between[:, None] * right_angled) / spacing_mm
    return _within_box(points, plane)


def _within_box(points: Points, plane: Mask) -> Points:
    """The part of a line, which crosses the box of the mask, that lies in the box; its direction stays."""
    first, way = points[0], points[1] - points[0]
    low, high = 0.0, 1.0
    for axis in range(2):
        there = np.flatnonzero(plane.any(1 - axis))
        if abs(way[axis]) > _PARALLEL:
            at = sorted((edge - first[axis]) / way[axis] for edge in (there[0] - 0.5, there[-1] + 0.5))
            low, high = max(low, at[0]), min(high, at[1])
    return np.asarray(first + np.array([[low], [high]]) * way, np.float64)
