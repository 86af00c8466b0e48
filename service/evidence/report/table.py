"""The table per lobe and per lung."""

from collections.abc import Iterator
from dataclasses import dataclass

from service.domain import codes, severity
from service.domain.findings import LEFT_LOBES, RIGHT_LOBES, Analysis, Lobe, Region
from service.evidence.report import words
from service.evidence.report.page import ACCENT, INNER, MARGIN, PALE, RULE, SOFT, WHITE, WIDTH, Page

_STEP = 13.2
_COLUMNS = (
    ("Lung mL", 0.335),
    ("Opacity mL", 0.455),
    ("Ground-glass mL", 0.605),
    ("High opacity mL", 0.745),
    ("Opacity %", 0.845),
    ("Score", 1.0),
)
"""Title and right edge as a fraction of the table's width."""

_BAR_LEFT, _BAR_RIGHT = 0.862, 0.922


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    region: Region
    score: str
    total: bool = False


def draw_table(page: Page, analysis: Analysis, y: float) -> float:
    """Returns the y below it."""
    page.text(MARGIN + 4, y + 9, "Region", 8, bold=True, colour=SOFT)
    for title, edge in _COLUMNS:
        page.text(_x(edge), y + 9, title, 8, bold=True, colour=SOFT, align="right")
    y += _STEP
    page.line(MARGIN, y, WIDTH - MARGIN, y, ACCENT, 0.9)
    for row in _rows(analysis):
        _draw_row(page, row, y)
        y += _STEP
    page.line(MARGIN, y, WIDTH - MARGIN, y, ACCENT, 0.9)
    note = (
        "Score per lobe 0-5, in brackets without noise floor. Percentages are truncated; scores use unrounded values."
    )
    page.text(MARGIN + 4, y + 9, note, 7, colour=SOFT)
    return y + 17


def _rows(analysis: Analysis) -> Iterator[_Row]:
    for side, lobes in (("right", RIGHT_LOBES), ("left", LEFT_LOBES)):
        for lobe in lobes:
            yield _lobe_row(analysis, lobe)
        yield _Row(f"{side.capitalize()} lung", analysis.lungs[side], "", total=True)
    total = analysis.severity.total
    score = "none" if total is None else f"{total} / {severity.MAX}"
    yield _Row("Both lungs", analysis.lungs["total"], score, total=True)


def _lobe_row(analysis: Analysis, lobe: Lobe) -> _Row:
    found = analysis.severity
    score, published = (of.lobe_scores[lobe.name] for of in (found, found.without_floor))
    words = "not found" if score is None else f"{score}" if score == published else f"{score} ({published})"
    return _Row(codes.LOBES[lobe].label, analysis.lobes[lobe], words)


def _draw_row(page: Page, row: _Row, y: float) -> None:
    if row.total:
        page.box(MARGIN, y, INNER, _STEP, fill=PALE)
    region = row.region
    baseline = y + _STEP - 4
    page.text(MARGIN + (4 if row.total else 12), baseline, row.name, 8.5, bold=row.total)
    values = (
        *map(words.millilitres, (region.volume_ml, region.opacity_ml, region.ggo_ml, region.high_opacity_ml)),
        words.percent(region.opacity_percent) if region.volume_ml else "-",
        row.score,
    )
    for value, (_, edge) in zip(values, _COLUMNS, strict=True):
        page.text(_x(edge), baseline, value, 8.5, bold=row.total, align="right")
    _draw_bar(page, region.opacity_percent / 100, y)
    page.line(MARGIN, y + _STEP, WIDTH - MARGIN, y + _STEP, RULE, 0.3)


def _draw_bar(page: Page, part: float, y: float) -> None:
    left, length = _x(_BAR_LEFT) + 4, _x(_BAR_RIGHT) - _x(_BAR_LEFT)
    page.box(left, y + 4.4, length, 4.4, fill=WHITE, stroke=RULE)
    if part > 0:
        page.box(left, y + 4.4, max(length * min(part, 1.0), 0.6), 4.4, fill=ACCENT)


def _x(fraction: float) -> float:
    return MARGIN + 4 + fraction * (INNER - 8)
