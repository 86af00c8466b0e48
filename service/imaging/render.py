"""Pictures as plain arrays: the view onto a volume, and how labels are marked. No files, no fonts.

All pictures follow the radiological convention: the patient's right is on the image's left; anterior is up in axial
pictures, the head is up in coronal ones. It is taken from the affine, never from the order of slices or rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Mark:
    """How the voxels of one label are marked, in colour and for grey print.

    tint: how much of the colour covers them, 0 to 1. hatched: with lines, too. shade: of the colour in 3D, 0 to 1.
    background: grey around its swatch in a legend, 0 to 255.
    """

    label: int
    rgb: tuple[int, int, int]
    tint: float
    hatched: bool = False
    shade: float = 1.0
    background: float = 90.0


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours by attenuation. stops: HU and RGB, two at least, from low to high; straight lines between them.

    Colours that grow lighter from stop to stop can be told apart in grey print.
    """

    stops: tuple[tuple[float, tuple[int, int, int]], ...]

    def __call__(self, hu: NDArray[Any]) -> NDArray[np.float64]:
        """RGB, 0 to 255, on one more axis; beyond the ends that of the end."""
        at = [hu_stop for hu_stop, _ in self.stops]
        channels = zip(*(rgb for _, rgb in self.stops), strict=True)
        return np.stack([np.interp(hu, at, channel) for channel in channels], axis=-1)


@dataclass(frozen=True, slots=True)
class View:
    """How an array with axes (slice, row, column) turns into axes (down, back, left).

    down: head to feet; back: anterior to posterior; left: the patient's right to left.
    order: source axis of each view axis. flipped: view axes that run against their source axis.
    spacing_mm: along the view axes.
    """

    order: tuple[int, int, int]
    flipped: tuple[bool, bool, bool]
    spacing_mm: tuple[float, float, float]

    def __call__(self, array: NDArray[Any]) -> NDArray[Any]:
        """The array with view axes; a view of the same memory."""
        turned = array.transpose(self.order)
        return turned[tuple(slice(None, None, -1 if flip else 1) for flip in self.flipped)]

    def source_index(self, axis: int, index: int, size: int) -> int:
        """Index along the source axis of index `index` along view axis `axis`, which has `size` elements."""
        return size - 1 - index if self.flipped[axis] else index


_VIEW_AXES_LPS = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Rows: down, back and left as directions in the patient's LPS frame."""


def view_of(affine: NDArray[np.float64]) -> View:
    """The view for an affine from (slice, row, column) to LPS mm; ValueError if two axes share a direction."""
    steps = np.asarray(affine, float)[:3, :3]
    along = _VIEW_AXES_LPS @ steps
    order = tuple(int(a) for a in np.argmax(np.abs(along), axis=1))
    if sorted(order) != [0, 1, 2]:
        raise ValueError("the volume's axes are too oblique for a picture")
    flipped = tuple(bool(along[axis, source] < 0) for axis, source in enumerate(order))
    spacing_mm = tuple(float(np.linalg.norm(steps[:, source])) for source in order)
    return View(order, flipped, spacing_mm)  # type: ignore[arg-type]


def lung_box(mask: NDArray[Any], margin: tuple[int, ...]) -> tuple[slice, ...]:
    """Slices around the non-zero part of a mask with a margin in pixels; the whole array if there is none."""
    box = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        filled = np.flatnonzero(mask.any(axis=others))
        if not filled.size:
            return (slice(None),) * mask.ndim
        first, last = int(filled[0]) - margin[axis], int(filled[-1]) + margin[axis] + 1
        box.append(slice(max(first, 0), last))
    return tuple(box)
