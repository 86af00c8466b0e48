"""Where a tumour of the lungs may lie: the chest's air, its mirror image about the spine, and a margin (Primakov 2022).

Lung that a tumour has filled or let collapse has no air. The other lung's mirror image lies there, so it is kept: this
finds no lungs and measures none, and a collapsed lung is no reason to refuse a CT.

Limits: a lung that is mere gas, as one that is a single giant bulla, is taken for gas; the mirror image of a lung that
the image cuts ends where the body in the image does.
"""

from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from service.errors import Reason, Refusal, Rejected
from service.imaging.boxes import bounds
from service.imaging.harmonise import AIR_HU

Mask = NDArray[np.bool_]

AIR_BELOW_HU = -400.0
"""Lung with its vessels, and every other air."""

BODY_ABOVE_HU = -500.0

BONE_HU = (150.0, 600.0)
"""From where on it counts as bone, and where as nothing but bone. The paper's window (-500 to 1300) counts soft tissue
for a third of it: beside a lung without air the line then leaves the spine by up to 5 cm (seen on one filled by hand).
"""

LEAST_ML = 200.0
"""A connected air volume that may be lung."""

GAS_BELOW_HU = -970.0
"""Median of a volume of mere gas, as a stomach's or a bowel's is: of the air in the trachea it is -990 +- 14 HU (Kim
2012). Lungs of severe emphysema stay above it."""

MARGIN_MM = 15.0
"""Around the union. The paper has 5 pixels of 1 mm; of two outlined tumours that reach the hilum, 2 % and 12 % lay
outside then, and less than 0.5 % with 15 mm."""

_COARSE_MM = 2.0
"""Size of the pixels that are looked at, about: nothing here is finer."""

_COUCH_MM = 4.0
"""Half of what bridges between body and couch, and the couch's shell, are at most."""

_RIBS_ABOVE_HU = 200.0

_ROUNDING = 1e-6
_SQUARE = np.ones((3, 3), np.bool_)

_CLOSING_MM = 5.0
"""Vessels and small nodules within the air are closed over."""

_SPINE_WITHIN_MM = 60.0
"""The spine is sought so far to either side of the middle of the body."""

_AVERAGED = 7
_FIRST, _NEW = 5, 0.3
"""How the spine's line is made (paper D2): columns averaged, slices whose mean begins it, weight of each other one."""


@dataclass(frozen=True, slots=True, eq=False)
class LungField:
    """inside: axes (slice, row, column) of the volume. chest: the slices that hold lung; of those above and below it
    the field holds the margin alone.

    spine: its column in each slice of `chest`, in columns of the volume.
    """

    inside: Mask
    chest: slice
    spine: NDArray[np.float64]

    @property
    def slices(self) -> slice:
        """The slices that hold any of the field."""
        there = np.flatnonzero(self.inside.any((1, 2)))
        return slice(int(there[0]), int(there[-1]) + 1)


def lung_field(hu: hd.Volume) -> LungField:
    """Find it. hu: HU, axes (slice to F, row to P, column to L). Rejected with NO_LUNG where there is no lung."""
    step = max(1, round(_COARSE_MM / float(hu.spacing[1])))
    coarse, pixel_mm = hu.array[:, ::step, ::step], step * float(hu.spacing[1])
    body = _body(coarse, pixel_mm)
    air = _lung_air(coarse, body, step * step * float(hu.voxel_volume) / 1000.0)
    chest = slice(*bounds(air, (0, 0, 0))[0].indices(len(air))[:2])
    spine = _spine(coarse[chest], body[chest], pixel_mm)
    inside, core = np.zeros_like(air), np.zeros_like(air)
    for number, column in zip(range(chest.start, chest.stop), spine, strict=True):
        closed = _eroded(_dilated(air[number], _CLOSING_MM, pixel_mm), _CLOSING_MM, pixel_mm)
        core[number] = closed | (_mirrored(closed, column) & body[number])
        inside[number] = _dilated(core[number], MARGIN_MM, pixel_mm)
    _add_ends(inside, core, chest, body, (float(hu.spacing[0]), pixel_mm))
    rows, columns = hu.array.shape[1:]
    fine = inside.repeat(step, 1).repeat(step, 2)[:, :rows, :columns]
    return LungField(fine, chest, spine * step)


def _add_ends(inside: Mask, core: Mask, chest: slice, body: Mask, spacing_mm: tuple[float, float]) -> None:
    """Add the margin above and below the chest, in the body: balls around what its first and its last slice hold.

    spacing_mm: of slices, and of pixels. Within the chest the margin stays one in the plane, as networks have learned.
    """
    slice_mm, pixel_mm = spacing_mm
    for distance in range(1, int(MARGIN_MM / slice_mm) + 1):
        radius_mm = float(np.sqrt(MARGIN_MM**2 - (distance * slice_mm) ** 2))
        for end, number in ((chest.start, chest.start - distance), (chest.stop - 1, chest.stop - 1 + distance)):
            if 0 <= number < len(inside):
                inside[number] = _dilated(core[end], radius_mm, pixel_mm) & body[number]


def _body(hu: NDArray[np.number], pixel_mm: float) -> Mask:
    """The body without the couch, slice by slice: the convex hull of the largest connected thing that is thick, and of
    the bones beside it, for a chest wall may be thin."""
    thick = _largest(np.stack([_eroded(plane > BODY_ABOVE_HU, _COUCH_MM, pixel_mm) for plane in hu]))
    body = np.zeros_like(thick)
    for number in np.flatnonzero(thick.any((1, 2))):
        core = _dilated(thick[number], _COUCH_MM, pixel_mm)
        rows = np.flatnonzero(core.any(1))
        core[rows[0] : rows[-1] + 1] |= hu[number, rows[0] : rows[-1] + 1] > _RIBS_ABOVE_HU
        body[number] = _hull(core)
    return body


def _hull(plane: Mask) -> Mask:
    """The convex hull of a mask; the mask itself where it is a line at most."""
    points = np.argwhere(plane & ~ndimage.binary_erosion(plane))
    try:
        borders = ConvexHull(points).equations
    except QhullError:
        return plane
    rows, columns = np.ogrid[: plane.shape[0], : plane.shape[1]]
    inside = np.ones(plane.shape, np.bool_)
    for of_row, of_column, offset in borders:
        inside &= of_row * rows + of_column * columns + offset <= _ROUNDING
    return inside


def _cut_lung(plane: NDArray[np.number]) -> Mask:
    """Where lung reaches the edge of what was imaged, there is no wall around it: the edge itself counts as one.

    Outside the circle that a scanner images there is the least value everywhere.
    """
    empty = ndimage.binary_opening(plane <= AIR_HU, _SQUARE)
    imaged = ~_from_border(empty)
    edge = imaged & ~ndimage.binary_erosion(imaged, _SQUARE)
    values = np.where(imaged, plane, 0).astype(np.float32)
    part = ndimage.uniform_filter(imaged.astype(np.float32), 3)
    mean = ndimage.uniform_filter(values, 3) / np.maximum(part, 1 / 9)
    return np.asarray(edge & (mean > GAS_BELOW_HU))


def _from_border(mask: Mask) -> Mask:
    """Its connected parts that reach the border of the plane."""
    pieces, count = ndimage.label(mask)
    border = np.concatenate([pieces[0], pieces[-1], pieces[:, 0], pieces[:, -1]])
    there = np.zeros(count + 1, np.bool_)
    there[border] = True
    there[0] = False
    found: Mask = there[pieces]
    return found


def _lung_air(hu: NDArray[np.number], body: Mask, voxel_ml: float) -> Mask:
    """Connected air that is lung: enclosed by tissue or by the edge of the image, be the wall as thin as it may, not
    beside the body, not mere gas, and beside the largest such volume, not far below it."""
    enclosed = np.stack([ndimage.binary_fill_holes((plane > BODY_ABOVE_HU) | _cut_lung(plane)) for plane in hu])
    pieces, count = ndimage.label((hu < AIR_BELOW_HU) & enclosed)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    in_body = np.bincount(pieces[body], minlength=count + 1)
    lungs = (sizes * voxel_ml >= LEAST_ML) & (3 * in_body >= sizes)
    lungs[0] = False
    for number in np.flatnonzero(lungs):
        lungs[number] = np.median(hu[pieces == number]) > GAS_BELOW_HU
    if not lungs.any():
        raise Rejected(Refusal(Reason.NO_LUNG, f"There is no connected air of {LEAST_ML:g} mL that may be lung."))
    largest = bounds(pieces == np.where(lungs, sizes, 0).argmax(), (0, 0, 0))[0]
    for number in np.flatnonzero(lungs):
        along = (pieces == number).sum((1, 2))
        lungs[number] = 2 * along[largest].sum() >= along.sum()
    found: Mask = lungs[pieces]
    return found


def _spine(hu: NDArray[np.number], body: Mask, pixel_mm: float) -> NDArray[np.float64]:
    """Its column in each slice, smoothed towards the feet. Sought in the back half of the body, without sternum."""
    low, high = BONE_HU
    behind = body & (2 * np.cumsum(body, 1) > body.sum(1, keepdims=True))
    bone = np.where(behind, (np.clip(hu, low, high) - low) / (high - low), 0.0)
    profile = ndimage.uniform_filter1d(bone.sum(1), _AVERAGED, axis=1)
    columns = np.arange(hu.shape[2])
    middle = float(columns[body.any((0, 1))].mean())
    profile[:, np.abs(columns - middle) > _SPINE_WITHIN_MM / pixel_mm] = -1.0
    seen = np.where(profile.max(1) > 0, profile.argmax(1), middle)
    line = np.empty(len(seen))
    line[0] = seen[:_FIRST].mean()
    for number in range(1, len(seen)):
        line[number] = _NEW * seen[number] + (1 - _NEW) * line[number - 1]
    return line


def _mirrored(plane: Mask, column: float) -> Mask:
    """The plane mirrored about a column; nothing where the mirror image does not reach."""
    source = np.rint(2 * column - np.arange(plane.shape[1])).astype(int)
    there = (source >= 0) & (source < plane.shape[1])
    mirrored = np.zeros_like(plane)
    mirrored[:, there] = plane[:, source[there]]
    return mirrored


def _largest(mask: Mask) -> Mask:
    pieces, count = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray((pieces == sizes.argmax()) & mask)


def _dilated(plane: Mask, by_mm: float, pixel_mm: float) -> Mask:
    """The mask grown by a disc of this radius."""
    return np.asarray(ndimage.distance_transform_edt(~plane, sampling=pixel_mm) <= by_mm) if plane.any() else plane


def _eroded(plane: Mask, by_mm: float, pixel_mm: float) -> Mask:
    return ~_dilated(~plane, by_mm, pixel_mm)
