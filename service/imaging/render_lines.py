"""Lines of measurements drawn into a picture of a plane: they end in bars, and have a dark edge for grey print."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.domain.analysis import LabelArray
from service.domain.ct import Hounsfield
from service.domain.report import Picture
from service.imaging.render import Mark
from service.imaging.render_slice import cropped, slice_picture

_HALF_WIDTH, _EDGE, _BAR = 1.0, 2.2, 8.0
"""Pixels of a picture: half of a line's width, half of it with its dark edge, half of the bar at an end."""

Ends = NDArray[np.float64]
"""Two points of a plane, (row, column), which may lie between pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class DrawnLine:
    """One line. ends: in pixels of the plane, the middle of the first pixel is (0, 0)."""

    ends: Ends
    rgb: tuple[int, int, int]


def picture_with_lines(
    plane: tuple[Hounsfield, LabelArray, LabelArray],
    spacing_mm: tuple[float, float],
    marks: Sequence[Mark],
    lines: Sequence[DrawnLine],
) -> Picture:
    """plane: HU, marked and lung labels, axes (row, column). The picture is that of `slice_picture`, and the lines."""
    picture = slice_picture(*plane, spacing_mm, marks)
    box, mm_per_pixel = cropped(plane[2], spacing_mm)
    first = np.array([part.start or 0 for part in box])
    factors = np.array(spacing_mm) / mm_per_pixel
    rgb = picture.rgb.copy()
    for line in lines:
        start, stop = (line.ends - first + 0.5) * factors - 0.5
        _draw(rgb, start, stop, line.rgb)
    return replace(picture, rgb=rgb)


def _draw(rgb: NDArray[np.uint8], start: NDArray[np.float64], stop: NDArray[np.float64], colour: Sequence[int]) -> None:
    length = float(np.linalg.norm(stop - start))
    along = (stop - start) / length if length else np.array([0.0, 1.0])
    across = np.array([-along[1], along[0]]) * _BAR
    strokes = ((start, stop), (start - across, start + across), (stop - across, stop + across))
    distance = np.min([_distance(rgb.shape[:2], *stroke) for stroke in strokes], axis=0)
    rgb[distance <= _EDGE] = 0
    rgb[distance <= _HALF_WIDTH] = colour


def _distance(shape: tuple[int, ...], start: NDArray[np.float64], stop: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each pixel from the line between two points, in pixels."""
    rows, columns = np.indices(shape)
    way = stop - start
    square = float(way @ way) or 1.0
    part = ((rows - start[0]) * way[0] + (columns - start[1]) * way[1]) / square
    part = part.clip(0.0, 1.0)
    found: NDArray[np.float64] = np.hypot(rows - start[0] - part * way[0], columns - start[1] - part * way[1])
    return found
