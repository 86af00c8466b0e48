"""Bounding boxes of masks: they restrict the work to the part of a CT that is lung."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[Any, ...]
"""One slice per axis; as Any, because highdicom declares that it takes one axis only."""


def bounds(mask: NDArray[np.bool_], margin: tuple[int, ...]) -> Box:
    """Bounding box of a mask that is not empty, grown by `margin` per axis; it may begin below 0 or end outside."""
    found = []
    for axis, grow in enumerate(margin):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        occupied = np.flatnonzero(mask.any(others))
        found.append(slice(int(occupied[0]) - grow, int(occupied[-1]) + 1 + grow))
    return tuple(found)


def label_bounds(labels: NDArray[np.uint8], label: int) -> Box:
    """Bounding box of a label that is there, without a mask of the whole array."""
    rows, columns = np.zeros(labels.shape[:2], np.bool_), np.zeros((labels.shape[0], labels.shape[2]), np.bool_)
    for number, plane in enumerate(labels):
        there = plane == label
        rows[number], columns[number] = there.any(1), there.any(0)
    occupied = [np.asarray(lines) for lines in (rows.any(1), rows.any(0), columns.any(0))]
    return tuple(slice(int(there.argmax()), there.size - int(there[::-1].argmax())) for there in occupied)


def clipped(box: Box, shape: tuple[int, ...]) -> Box:
    """The part of a box that lies in an array of that shape."""
    return tuple(slice(max(part.start, 0), min(part.stop, size)) for part, size in zip(box, shape, strict=True))
