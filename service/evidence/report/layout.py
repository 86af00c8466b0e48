"""Layout of the report page."""

from service.domain.report import Chart, ReportBody
from service.evidence.case import Case
from service.evidence.report import charts, notes, pictures
from service.evidence.report.cards import draw_cards
from service.evidence.report.comparison import draw_comparison
from service.evidence.report.header import draw_header
from service.evidence.report.page import HEIGHT, INNER, MARGIN, Page
from service.evidence.report.table import draw_table

_TOP, _FOOTER = 26.0, 44.0
_GAP, _CAPTION, _LEGEND = 11.0, 15.0, 16.0
_HALF = (INNER - _GAP) / 2
_RIGHT = MARGIN + _HALF + _GAP
_SMALL = (_HALF - _GAP) / 2
_LARGE, _LARGE_BESIDE_COMPARISON = 0.56, 0.48
"""Part of the room that large figures take; the notes are below them."""


def report_pdf(case: Case, body: ReportBody) -> bytes:
    """The report as PDF; the same case and body give the same bytes."""
    page = Page(body.title, case)
    y = draw_header(page, case, body.title, _TOP)
    y = draw_cards(page, body.cards, y)
    y = draw_table(page, body.table, y)
    y = draw_comparison(page, case.analysis.comparison, y)
    bottom = HEIGHT - _FOOTER
    _draw_gallery(page, case, body, y, bottom - 6)
    notes.draw_footer(page, case, f"Series {case.ct.series_uid}", bottom)
    return page.finish()


def _draw_gallery(page: Page, case: Case, body: ReportBody, y: float, bottom: float) -> None:
    """Large figures side by side; below them the small ones, with the notes on their right."""
    left, right = body.large
    room = bottom - y - 2 * _CAPTION - _LEGEND
    part = _LARGE if case.analysis.comparison is None else _LARGE_BESIDE_COMPARISON
    height = min(pictures.height_at(right, _HALF), part * room)
    if isinstance(left, Chart):
        charts.draw(page, left, MARGIN, y, _HALF, height)
    else:
        pictures.draw(page, left, MARGIN, y, _HALF, height)
    pictures.draw(page, right, _RIGHT, y, _HALF, height)
    y += height + _CAPTION
    pictures.draw_legend(page, body.legend, body.scale, MARGIN, _RIGHT, y)
    y += _LEGEND
    lower = bottom - y - _CAPTION
    for column, figure in enumerate(body.small):
        pictures.draw(page, figure, MARGIN + column * (_SMALL + _GAP), y, _SMALL, lower)
    notes.draw_notes(page, case, body, _RIGHT, y, _HALF, bottom - y)
