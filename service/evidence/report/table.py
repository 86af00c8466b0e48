"""Draws the table of the report; its columns and rows are the pipeline's (`<pipeline>/report.py`)."""

from service.domain.report import Table, TableRow
from service.evidence.report.page import ACCENT, INNER, MARGIN, PALE, RULE, SOFT, WHITE, WIDTH, Page

_STEP = 13.2


def draw_table(page: Page, table: Table, y: float, step: float = _STEP) -> float:
    """Returns the y below it. step: height of a row in points; letters are smaller with it."""
    size = 8 * min(1.0, step / _STEP + 0.1)
    page.text(MARGIN + 4, y + 9, table.heading, size, bold=True, colour=SOFT)
    for column in table.columns:
        page.text(_x(column.right), y + 9, column.title, size, bold=True, colour=SOFT, align="right")
    y += _STEP
    page.line(MARGIN, y, WIDTH - MARGIN, y, ACCENT, 0.9)
    for row in table.rows:
        _draw_row(page, table, row, y, step)
        y += step
    page.line(MARGIN, y, WIDTH - MARGIN, y, ACCENT, 0.9)
    page.text(MARGIN + 4, y + 9, table.note, 7, colour=SOFT, max_width=INNER - 8)
    return y + 17


def _draw_row(page: Page, table: Table, row: TableRow, y: float, step: float) -> None:
    if row.total:
        page.box(MARGIN, y, INNER, step, fill=PALE)
    baseline, size = y + step - 4 * step / _STEP, 8.5 * min(1.0, step / _STEP + 0.1)
    page.text(MARGIN + (4 if row.total else 12), baseline, row.name, size, bold=row.total)
    for value, column in zip(row.cells, table.columns, strict=True):
        page.text(_x(column.right), baseline, value, size, bold=row.total, align="right")
    if table.bar is not None and row.bar is not None:
        _draw_bar(page, table.bar, row.bar, y)
    page.line(MARGIN, y + step, WIDTH - MARGIN, y + step, RULE, 0.3)


def _draw_bar(page: Page, edges: tuple[float, float], part: float, y: float) -> None:
    left, length = _x(edges[0]) + 4, _x(edges[1]) - _x(edges[0])
    page.box(left, y + 4.4, length, 4.4, fill=WHITE, stroke=RULE)
    if part > 0:
        page.box(left, y + 4.4, max(length * min(part, 1.0), 0.6), 4.4, fill=ACCENT)


def _x(fraction: float) -> float:
    return MARGIN + 4 + fraction * (INNER - 8)
