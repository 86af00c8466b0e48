"""Charts on the page: curves over one axis, drawn as lines, which stay sharp at any size."""

from dataclasses import dataclass

from service.domain.report import Chart
from service.evidence.report.page import ACCENT, INK, PALE, RULE, SOFT, Page

_LEFT, _RIGHT, _TOP, _BOTTOM = 24.0, 15.0, 34.0, 24.0
"""Room around the curves, in points."""

_THICKNESS = {"thick": 1.5, "thin": 0.9, "dashed": 0.9}
_COLOUR = {"thick": INK, "thin": ACCENT, "dashed": ACCENT}
_KEY, _KEY_LINE = 56.0, 14.0
"""Width of a curve's entry at the top, and of the piece of its line there."""


@dataclass(frozen=True, slots=True)
class _Field:
    """Where the curves lie on the page. ends: of the x axis; highest: of the y axis."""

    x: float
    y: float
    width: float
    height: float
    ends: tuple[float, float]
    highest: float

    def across(self, x: float) -> float:
        first, last = self.ends
        return self.x + self.width * (x - first) / (last - first)

    def down(self, y: float) -> float:
        return self.y + self.height * (1.0 - y / self.highest)


def draw(page: Page, chart: Chart, x: float, y: float, width: float, height: float) -> None:
    """The chart in a box of `width` by `height`, with its caption below the box."""
    page.box(x, y, width, height, stroke=RULE)
    field = _Field(
        x + _LEFT,
        y + _TOP,
        width - _LEFT - _RIGHT,
        height - _TOP - _BOTTOM,
        (chart.x_ticks[0], chart.x_ticks[-1]),
        max((high for curve in chart.curves for _, high in curve.points), default=0.0) or 1.0,
    )
    _draw_bands(page, chart, field)
    _draw_axis(page, chart, field)
    for number, curve in enumerate(chart.curves):
        left = x + width - (len(chart.curves) - number) * _KEY
        line = [(field.across(at), field.down(high)) for at, high in curve.points]
        for points in (line, [(left, y + 9), (left + _KEY_LINE, y + 9)]):
            page.curve(points, _COLOUR[curve.look], _THICKNESS[curve.look], dashed=curve.look == "dashed")
        page.text(left + _KEY_LINE + 3, y + 11.5, curve.title, 7, max_width=_KEY - _KEY_LINE - 6)
    page.text(x + 6, y + 11.5, chart.y_title, 7, colour=SOFT)
    page.text(x, y + height + 9, chart.caption, 7.5, colour=SOFT, max_width=width)


def _draw_bands(page: Page, chart: Chart, field: _Field) -> None:
    for band in chart.bands:
        left, right = field.across(band.first), field.across(band.last)
        page.box(left, field.y - 4, right - left, field.height + 4, fill=PALE)
        page.text((left + right) / 2, field.y - 7, band.title, 7, colour=SOFT, align="centre")


def _draw_axis(page: Page, chart: Chart, field: _Field) -> None:
    bottom = field.y + field.height
    page.line(field.x, bottom, field.x + field.width, bottom, SOFT)
    page.line(field.x, field.y, field.x, bottom, SOFT)
    for tick in chart.x_ticks:
        at = field.across(tick)
        page.line(at, bottom, at, bottom + 2.5, SOFT)
        page.text(at, bottom + 9.5, f"{tick:g}", 6.5, colour=SOFT, align="centre")
    for y, text in ((bottom, "0"), (field.y, f"{field.highest:.3g}")):
        page.line(field.x - 2.5, y, field.x, y, SOFT)
        page.text(field.x - 4, y + 2.3, text, 6.5, colour=SOFT, align="right")
    page.text(field.x + field.width / 2, bottom + 18, chart.x_title, 7, colour=SOFT, align="centre")
