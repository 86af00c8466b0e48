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


@dataclass(frozen=True, slots=True)
class Diameter:
    """ends: two points in voxels, (slice, row, column), which may lie between voxels."""

    length_mm: float
    ends: tuple[tuple[float, float, float], tuple[float, float, float]]


@dataclass(frozen=True, slots=True)
class Diameters:
    """slice_index: where `longest` is longest. longest: between any two points of the border in one slice, even where
    the finding curves away between them. across: the longest line at right angles to it that lies in the finding, in
    the same slice. in_space: between any two points of the border."""

    slice_index: int
    longest: Diameter
    across: Diameter
    in_space: Diameter


def diameters(mask: Mask, spacing_mm: tuple[float, float, float]) -> Diameters:
    """Measure one finding. mask: not empty; axes (slice, row, column), slices axial. Of equals, the first is told."""
    occupied = np.flatnonzero(mask.any((1, 2)))
    in_plane = np.array(spacing_mm[1:])
    found = [_longest(border(mask[number]), in_plane) for number in occupied]
    best = int(np.argmax([length_mm for length_mm, _ in found]))
    number, (length_mm, ends) = int(occupied[best]), found[best]
    longest = Diameter(length_mm, _in_slice(number, ends))
    across_mm, across = _across(mask[number], ends, in_plane)
    shorter = Diameter(min(across_mm, length_mm), _in_slice(number, across))  # its steps may make it a little longer
    return Diameters(number, longest, shorter, _in_space(mask, spacing_mm))


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


def _across(plane: Mask, ends: Points, spacing_mm: NDArray[np.float64]) -> tuple[float, Points]:
    """The longest line within the mask at right angles to the line between `ends`; its length in mm and its ends."""
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
    points = start + forward[line] * along + between[:, None] * right_angled
    return float(runs[best]) * step_mm, points / spacing_mm
