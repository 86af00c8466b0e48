"""The pictures, each with sides, scale and a caption that says what it shows."""

import re
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from service.domain.findings import Finding, LabelArray
from service.evidence.case import Case
from service.evidence.report.page import INK, RULE, SHADE, SOFT, WHITE, Page
from service.imaging.attributes import known_text
from service.imaging.render import Picture, View, view_of
from service.imaging.render_3d import picture_3d
from service.imaging.render_slice import WINDOW_HU, busiest_plane, slice_picture, swatch

_SCALE_MM = 50.0
_MUCH_LUNG = 0.5
"""Part of the largest area of lung: a coronal plane at the back shows ribs and spine rather than lungs."""


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """A picture with its caption. dark: marks are drawn in white."""

    picture: Picture
    caption: str
    dark: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Turned:
    """The arrays of a case with view axes (down, back, left)."""

    view: View
    hu: NDArray[np.float32]
    findings: LabelArray
    lobes: LabelArray

    @classmethod
    def of(cls, case: Case) -> Self:
        view = view_of(case.ct.volume.affine)
        analysis = case.analysis
        return cls(view, view(case.ct.volume.array), view(analysis.finding_mask), view(analysis.lobe_mask))

    def plane(self, index: tuple[int | slice, ...]) -> tuple[NDArray[np.float32], LabelArray, LabelArray]:
        return self.hu[index], self.findings[index], self.lobes[index]


def axial(turned: Turned, case: Case) -> tuple[Shown, Shown]:
    """The most affected slice as it is, and with the findings marked."""
    index, affected = busiest_plane(turned.findings, turned.lobes, axis=0)
    hu, findings, lobes = turned.plane((index,))
    spacing_mm = (turned.view.spacing_mm[1], turned.view.spacing_mm[2])
    number = turned.view.source_index(0, index, turned.hu.shape[0])
    z_mm = _position_mm(case, turned, axis=0, index=index)[2]
    place = f"Axial, {_place(case, number)}, z {z_mm:.1f} mm"
    which = "most affected slice" if affected else "no opacity found; slice with the most lung"
    plain = slice_picture(hu, np.zeros_like(findings), lobes, spacing_mm)
    marked = slice_picture(hu, findings, lobes, spacing_mm)
    return Shown(plain, f"{place}: unmarked"), Shown(marked, f"The same slice, marked: {which}")


def coronal(turned: Turned, case: Case) -> Shown:
    """A plane through much of the lungs, with as much of the findings as such a plane has."""
    index, affected = busiest_plane(turned.findings, turned.lobes, axis=1, least_lung=_MUCH_LUNG)
    spacing_mm = (turned.view.spacing_mm[0], turned.view.spacing_mm[2])
    picture = slice_picture(*turned.plane((slice(None), index)), spacing_mm)
    y_mm = _position_mm(case, turned, axis=1, index=index)[1]
    which = "most opacity" if affected else "most lung"
    return Shown(picture, f"Coronal, y {y_mm:.1f} mm: {which}")


def front(turned: Turned) -> Shown:
    """The lungs from the front."""
    picture = picture_3d(turned.lobes, turned.findings, turned.view.spacing_mm)
    return Shown(picture, "3D rendering, seen from the front", dark=False)


def _position_mm(case: Case, turned: Turned, axis: int, index: int) -> NDArray[np.float64]:
    """LPS of the first voxel of a plane across a view axis."""
    voxel = np.zeros(4)
    voxel[turned.view.order[axis]] = turned.view.source_index(axis, index, turned.hu.shape[axis])
    voxel[3] = 1.0
    position: NDArray[np.float64] = (np.asarray(case.ct.volume.affine) @ voxel)[:3]
    return position


def _place(case: Case, index: int) -> str:
    """How a reader finds slice `index` of the volume in the source series."""
    if case.ct.frame_numbers:
        return f"frame {case.ct.frame_numbers[index]}"
    instance = known_text(case.ct.headers[index], "InstanceNumber")
    return f"image {instance}" if re.fullmatch(r"\d{1,10}", instance) else f"slice {index + 1}"


def height_at(shown: Shown, width: float) -> float:
    """Height of the picture alone when it is `width` wide."""
    rows, columns = shown.picture.rgb.shape[:2]
    return float(width * rows / columns)


def draw(page: Page, shown: Shown, x: float, y: float, width: float, height: float) -> None:
    """The picture, centred in a box of `width` by `height`, with its caption below the box."""
    h = min(height, height_at(shown, width))
    w = width * h / height_at(shown, width)
    left = x + (width - w) / 2
    page.picture(left, y, w, h, shown.picture.rgb)
    page.box(left, y, w, h, stroke=RULE)
    _draw_sides(page, shown, left, y, w)
    _draw_scale(page, shown, left + w - 6, y + h - 6, w / shown.picture.rgb.shape[1] / shown.picture.mm_per_pixel)
    page.text(left, y + h + 9, shown.caption, 7.5, colour=SOFT, max_width=x + width - left)


def _draw_sides(page: Page, shown: Shown, x: float, y: float, w: float) -> None:
    """Patient's right and left, in the upper corners."""
    for letter, left in (("R", x), ("L", x + w - 15)):
        if shown.dark:
            page.box(left, y, 15, 15, fill=SHADE)
        page.text(left + 7.5, y + 11.3, letter, 10, bold=True, colour=WHITE if shown.dark else INK, align="centre")


def _draw_scale(page: Page, shown: Shown, right: float, y: float, points_per_mm: float) -> None:
    ink, length = WHITE if shown.dark else INK, _SCALE_MM * points_per_mm
    if shown.dark:
        page.box(right - length - 4, y - 11, length + 8, 15, fill=SHADE)
    page.line(right - length, y, right, y, ink, 1.4)
    page.text(right - length / 2, y - 3.5, "5 cm", 6.5, colour=ink, align="centre")


def draw_legend(page: Page, x: float, right: float, y: float) -> None:
    """What outline, tint and hatch mean; from `right` on the grey scale."""
    for finding, label, left in (
        (Finding.GROUND_GLASS, "Ground-glass opacity", 0.0),
        (Finding.HIGH_OPACITY, "High opacity", 108.0),
    ):
        page.picture(x + left, y, 16, 9, swatch(finding))
        page.text(x + left + 20, y + 7.2, label, 7.5)
    low, high = WINDOW_HU
    page.text(right, y + 7.2, f"Grey scale {low:.0f} to {high:.0f} HU", 7.5, colour=SOFT)
