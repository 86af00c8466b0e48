"""The key results, side by side."""

from collections.abc import Sequence

from service.domain.report import Bar, Card, Line, Row
from service.evidence.report.page import ACCENT, INK, INNER, MARGIN, PALE, RULE, SOFT, WHITE, Page, wrapped

HEIGHT, _GAP, _PAD = 96.0, 9.0, 8.0
_WIDTH = (INNER - 2 * _GAP) / 3
_BAR = _WIDTH - 2 * _PAD
_LARGE, _SMALLER = 20.0, 14.0
_SHORT = 10
"""Characters of a value that is printed large."""

_TITLE, _VALUE, _BAR_TOP, _FIRST_LINE = 13.0, 38.0, 45.0, 62.0
"""Distances from the card's top: baselines, and the top of the bar."""

_LEADING = 1.5


def draw_cards(page: Page, cards: Sequence[Card], y: float) -> float:
    """Returns the y below them."""
    for column, card in enumerate(cards):
        x = MARGIN + column * (_WIDTH + _GAP)
        page.box(x, y, _WIDTH, HEIGHT, fill=PALE, stroke=RULE)
        _draw_card(page, card, x + _PAD, y)
    return y + HEIGHT + 10


def _draw_card(page: Page, card: Card, x: float, y: float) -> None:
    page.text(x, y + _TITLE, card.title, 8, max_width=_BAR, colour=SOFT)
    if card.rows:
        _draw_rows(page, card.rows, x, y)
        return
    size = _LARGE if len(card.value) <= _SHORT and not card.absent else _SMALLER
    page.text(x, y + _VALUE, card.value, size, bold=True, colour=SOFT if card.absent else INK, max_width=_BAR)
    page.text(x + _BAR, y + _VALUE, card.beside, 8, align="right")
    if card.bar is not None:
        _draw_bar(page, x, y + _BAR_TOP, card.bar)
    _draw_lines(page, card.lines, x, y + _FIRST_LINE, y + HEIGHT - 4)


def _draw_lines(page: Page, lines: Sequence[Line], x: float, y: float, bottom: float) -> None:
    """What does not fit is put in the last line and shrunk: the notes name every warning."""
    for line in lines:
        texts = wrapped(line.text, line.size, _BAR) if line.wrapped else [line.text]
        pitch = line.size + _LEADING
        fitting = max(1, int((bottom - y) / pitch) + 1)
        kept = [*texts[: fitting - 1], " ".join(texts[fitting - 1 :])] if len(texts) > fitting else texts
        for text in kept:
            page.text(x, y, text, line.size, bold=line.bold, max_width=_BAR)
            y += pitch


def _draw_rows(page: Page, rows: Sequence[Row], x: float, y: float) -> None:
    step = (HEIGHT - 18) / len(rows)
    for number, row in enumerate(rows):
        baseline = y + 25 + number * step
        page.text(x, baseline, row.title, 8.5, max_width=_BAR - 28)
        page.text(x + _BAR, baseline, row.value, 9, bold=True, align="right")
        _draw_bar(page, x, baseline + 2.5, Bar(row.part), height=2.5)


def _draw_bar(page: Page, x: float, y: float, bar: Bar, height: float = 6.0) -> None:
    page.box(x, y, _BAR, height, fill=WHITE, stroke=RULE)
    if bar.part > 0:
        page.box(x, y, max(_BAR * min(bar.part, 1.0), 0.8), height, fill=ACCENT)
    for tick in bar.ticks:
        page.line(x + _BAR * tick, y - 1.5, x + _BAR * tick, y + height + 1.5, SOFT, 0.8)
