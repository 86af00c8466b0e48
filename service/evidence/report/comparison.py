"""The block of the report that compares with an earlier CT: a small table, and what a reader must know with it."""

from collections.abc import Iterator

from service.domain.comparison import Change, Comparison, FindingChange
from service.domain.comparison_words import change_words, finding_words, per_year_words, told
from service.domain.report import Column, Table, TableRow
from service.evidence.report.page import INNER, MARGIN, SOFT, Page, wrapped
from service.evidence.report.table import draw_table

MOST_ROWS = 8
"""So many fit on the page beside the rest; the structured report has all."""

_MOST_LINES, _SIZE, _LINE = 3, 7.0, 8.4
_STEP = 10.2
_NOTE = 17.0
"""Room that a table leaves for its note."""
_COLUMNS = (Column("then", 0.50), Column("now", 0.63), Column("change", 0.83), Column("per year", 1.0))


def draw_comparison(page: Page, found: Comparison | None, y: float) -> float:
    """Returns the y below it; the same y where nothing was compared."""
    if found is None:
        return y
    y = draw_table(page, comparison_table(found), y, _STEP)
    y -= _NOTE
    text = " ".join((*_earlier(found), *found.remarks, *_notes(found)))
    lines = wrapped(text, _SIZE, INNER - 8)
    if len(lines) > _MOST_LINES:
        lines = [*lines[: _MOST_LINES - 1], " ".join(lines[_MOST_LINES - 1 :])]
    for line in lines:
        page.text(MARGIN + 4, y + _SIZE + 2, line, _SIZE, colour=SOFT, max_width=INNER - 8)
        y += _LINE
    return y + _LINE


def comparison_table(found: Comparison) -> Table:
    """Then, now, change and change per year of each number; what became of each finding."""
    return Table(found.title, _COLUMNS, tuple(_rows(found))[:MOST_ROWS])


def _earlier(found: Comparison) -> Iterator[str]:
    """Nothing of a result that was read from its structured reports: they have no headline."""
    if found.headline:
        yield f"Earlier result: {found.headline.rstrip('.')}."


def _notes(found: Comparison) -> Iterator[str]:
    left_out = len(tuple(_rows(found))) - MOST_ROWS
    if left_out > 0:
        yield f"{left_out} more lines are in the structured report."
    if any(one.volume is not None for one in found.findings):
        yield "Growth is told from 25 % of volume on."


def _rows(found: Comparison) -> Iterator[TableRow]:
    for one in found.numbers:
        yield _row(one.title, one)
    for finding in found.findings:
        yield from _of_finding(finding)


def _of_finding(finding: FindingChange) -> Iterator[TableRow]:
    if words := finding_words(finding):
        yield TableRow(finding.title, ("", "", "", words), total=True)
    for one in finding.numbers:
        yield _row(f"{finding.title}: {one.title.lower()}", one)


def _row(title: str, one: Change) -> TableRow:
    """Why no change is told stands on the right, where there is room for words."""
    both = told(one.then, one.unit), told(one.now, one.unit)
    if one.change is None:
        return TableRow(title, (*both, "", one.why_not))
    return TableRow(title, (*both, change_words(one, with_year=False), per_year_words(one)))
