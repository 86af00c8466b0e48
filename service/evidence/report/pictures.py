"""The figures on the page: each with sides, scale and its caption, and the legend of their marks."""

from collections.abc import Sequence

from service.domain.report import Figure, LegendEntry
from service.evidence.report.page import INK, RULE, SHADE, SOFT, WHITE, Page

_SCALE_MM = 50.0
_LEGEND_STEP = 108.0


def height_at(shown: Figure, width: float) -> float:
    """Height of the picture alone when it is `width` wide."""
    rows, columns = shown.picture.rgb.shape[:2]
    return float(width * rows / columns)


def draw(page: Page, shown: Figure, x: float, y: float, width: float, height: float) -> None:
    """The picture, centred in a box of `width` by `height`, with its caption below the box."""
    h = min(height, height_at(shown, width))
    w = width * h / height_at(shown, width)
    left = x + (width - w) / 2
    page.picture(left, y, w, h, shown.picture.rgb)
    page.box(left, y, w, h, stroke=RULE)
    _draw_sides(page, shown, left, y, w)
    _draw_scale(page, shown, left + w - 6, y + h - 6, w / shown.picture.rgb.shape[1] / shown.picture.mm_per_pixel)
    page.text(left, y + h + 9, shown.caption, 7.5, colour=SOFT, max_width=x + width - left)


def _draw_sides(page: Page, shown: Figure, x: float, y: float, w: float) -> None:
    """Which side of the patient is where, in the upper corners."""
    for letter, left in zip(shown.sides, (x, x + w - 15), strict=True):
        if shown.dark:
            page.box(left, y, 15, 15, fill=SHADE)
        page.text(left + 7.5, y + 11.3, letter, 10, bold=True, colour=WHITE if shown.dark else INK, align="centre")


def _draw_scale(page: Page, shown: Figure, right: float, y: float, points_per_mm: float) -> None:
    ink, length = WHITE if shown.dark else INK, _SCALE_MM * points_per_mm
    if shown.dark:
        page.box(right - length - 4, y - 11, length + 8, 15, fill=SHADE)
    page.line(right - length, y, right, y, ink, 1.4)
    page.text(right - length / 2, y - 3.5, "5 cm", 6.5, colour=ink, align="centre")


def draw_legend(page: Page, entries: Sequence[LegendEntry], scale: str, x: float, right: float, y: float) -> None:
    """What outline, tint and hatch mean; from `right` on, or where the entries end, the grey scale."""
    for number, entry in enumerate(entries):
        left = x + number * _LEGEND_STEP
        page.picture(left, y, 16, 9, entry.swatch)
        page.text(left + 20, y + 7.2, entry.title, 7.5, max_width=_LEGEND_STEP - 22)
    page.text(max(right, x + len(entries) * _LEGEND_STEP), y + 7.2, scale, 7.5, colour=SOFT)
