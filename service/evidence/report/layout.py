"""Where the parts of the page go."""

from service.domain.ports import Step, no_step
from service.evidence.case import Case
from service.evidence.report import notes, pictures
from service.evidence.report.cards import draw_cards
from service.evidence.report.header import draw_header
from service.evidence.report.page import HEIGHT, INNER, MARGIN, Page
from service.evidence.report.table import draw_table

_TOP, _FOOTER = 26.0, 44.0
_GAP, _CAPTION, _LEGEND = 11.0, 15.0, 16.0
_HALF = (INNER - _GAP) / 2
_RIGHT = MARGIN + _HALF + _GAP
_SMALL = (_HALF - _GAP) / 2


def report_pdf(case: Case, step: Step = no_step) -> bytes:
    """The report as PDF; the same case gives the same bytes. step: called before each picture."""
    page = Page("Chest CT: lung opacity report", case)
    y = draw_header(page, case, _TOP)
    y = draw_cards(page, case, y)
    y = draw_table(page, case.analysis, y)
    bottom = HEIGHT - _FOOTER
    _draw_gallery(page, case, y, bottom - 6, step)
    notes.draw_footer(page, case, f"Series {case.ct.series_uid}", bottom)
    return page.finish()


def _draw_gallery(page: Page, case: Case, y: float, bottom: float, step: Step) -> None:
    """One axial slice without and with its marks; below it coronal and 3D pictures, with the notes on their right."""
    turned = pictures.Turned.of(case)
    step()
    plain, marked = pictures.axial(turned, case)
    room = bottom - y - 2 * _CAPTION - _LEGEND
    height = min(pictures.height_at(marked, _HALF), 0.56 * room)
    pictures.draw(page, plain, MARGIN, y, _HALF, height)
    pictures.draw(page, marked, _RIGHT, y, _HALF, height)
    y += height + _CAPTION
    pictures.draw_legend(page, MARGIN, _RIGHT, y)
    y += _LEGEND
    lower = bottom - y - _CAPTION
    step()
    pictures.draw(page, pictures.coronal(turned, case), MARGIN, y, _SMALL, lower)
    step()
    pictures.draw(page, pictures.front(turned), MARGIN + _SMALL + _GAP, y, _SMALL, lower)
    step()
    notes.draw_notes(page, case, _RIGHT, y, _HALF, bottom - y)
