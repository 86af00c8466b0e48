"""The block of the report that compares with an earlier CT: a small table, and what a reader must know with it."""

from collections.abc import Iterator

from service.domain.comparison import Change, Comparison, Match
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
    lines = wrapped(" ".join(_that_fit(found)), _SIZE, INNER - 8)
    for line in lines:
        page.text(MARGIN + 4, y + _SIZE + 2, line, _SIZE, colour=SOFT, max_width=INNER - 8)
        y += _LINE
    return y + _LINE


def comparison_table(found: Comparison) -> Table:
    """What became of each finding; then, now, change and change per year of each number."""
    return Table(found.title, _COLUMNS, tuple(_rows(found))[:MOST_ROWS])


def _that_fit(found: Comparison) -> list[str]:
    """Sentences below the table, as many as there is room for, none cut; the last one says how many are missing."""
    told = list(_left_out(found))
    sentences = [*found.remarks, *_earlier(found), *_rule(found)]
    for count in range(len(sentences), -1, -1):
        left = len(sentences) - count
        more = [f"{left} more remark{'' if left == 1 else 's'} in the structured report."] if left else []
        chosen = [*told, *sentences[:count], *more]
        if len(wrapped(" ".join(chosen), _SIZE, INNER - 8)) <= _MOST_LINES:
            return chosen
    return told


def _earlier(found: Comparison) -> Iterator[str]:
    """Nothing of a result that was read from its structured reports: they have no headline."""
    if found.headline:
        yield f"Earlier result: {found.headline.rstrip('.')}."


def _left_out(found: Comparison) -> Iterator[str]:
    left_out = len(tuple(_rows(found))) - MOST_ROWS
    if left_out > 0:
        findings = max(0, len(found.findings) - MOST_ROWS)
        among = f", {findings} of them findings" if findings else ""
        yield f"{left_out} more lines are in the structured report{among}."


def _rule(found: Comparison) -> Iterator[str]:
    if any(one.volume is not None for one in found.findings):
        yield "Growth is told from 25 % of volume on."


_FIRST = (Match.NEW, Match.GONE)
"""What a reader must not miss."""


def _rows(found: Comparison) -> Iterator[TableRow]:
    """What became of every finding, the new ones and those that are gone first; then the numbers."""
    for finding in sorted(found.findings, key=lambda one: one.match not in _FIRST):
        words = finding_words(finding) or Match.MATCHED.words
        yield TableRow(finding.title, ("", "", "", words), total=True)
    for one in found.numbers:
        yield _row(one.title, one)
    for finding in found.findings:
        for one in finding.numbers:
            yield _row(f"{finding.title}: {one.title.lower()}", one)


def _row(title: str, one: Change) -> TableRow:
    """Why no change is told stands on the right, where there is room for words."""
    both = told(one.then, one.unit), told(one.now, one.unit)
    if one.change is None:
        return TableRow(title, (*both, "", one.why_not))
    return TableRow(title, (*both, change_words(one, with_year=False), per_year_words(one)))
