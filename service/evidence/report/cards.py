"""The three key results: severity, extent, classification."""

from service.domain import severity
from service.domain.findings import Finding
from service.errors import Flag
from service.evidence.case import Case
from service.evidence.report import words
from service.evidence.report.page import ACCENT, INNER, MARGIN, PALE, RULE, SOFT, WHITE, Page

HEIGHT, _GAP, _PAD = 68.0, 9.0, 8.0
_WIDTH = (INNER - 2 * _GAP) / 3
_BAR = _WIDTH - 2 * _PAD

_INCOMPLETE = {Flag.LUNG_AT_EDGE, Flag.LUNG_DROPPED}
"""Warnings without which the score would be read as that of whole lungs."""

NO_CLASSIFIER = "Classification: no validated model installed"


def draw_cards(page: Page, case: Case, y: float) -> float:
    """Returns the y below them."""
    for column, draw in enumerate((_draw_severity, _draw_extent, _draw_classification)):
        x = MARGIN + column * (_WIDTH + _GAP)
        page.box(x, y, _WIDTH, HEIGHT, fill=PALE, stroke=RULE)
        draw(page, case, x + _PAD, y)
    return y + HEIGHT + 10


def _draw_severity(page: Page, case: Case, x: float, y: float) -> None:
    score = case.analysis.severity
    page.text(x, y + 13, severity.NAME, 8, colour=SOFT)
    if score.total is None:
        page.text(x, y + 35, "no total score", 14, bold=True)
        page.text(x, y + 60, "A lobe was not found.", 8.5, max_width=_BAR)
        return
    page.text(x, y + 38, f"{score.total} / {severity.MAX}", 20, bold=True)
    if _INCOMPLETE.intersection(case.flags):
        page.text(x + _BAR, y + 38, "incomplete lungs", 10, bold=True, align="right")
    _draw_bar(page, x, y + 45, score.total / severity.MAX, ticks=(5.5 / severity.MAX, 14.5 / severity.MAX))
    page.text(x, y + 62, f"Involvement: {score.category}", 9.5, bold=True)


def _draw_extent(page: Page, case: Case, x: float, y: float) -> None:
    total = case.analysis.lungs["total"]
    page.text(x, y + 13, "Affected part of both lungs", 8, colour=SOFT)
    page.text(x, y + 38, f"{words.percent(total.opacity_percent)} %", 20, bold=True)
    volumes = f"{words.millilitres(total.opacity_ml)} of {words.millilitres(total.volume_ml)} mL"
    page.text(x + _BAR, y + 38, volumes, 9, align="right")
    _draw_bar(page, x, y + 45, total.opacity_percent / 100)
    kinds = case.analysis.findings
    ground_glass, high = (words.millilitres(kinds[f].volume_ml) for f in (Finding.GROUND_GLASS, Finding.HIGH_OPACITY))
    page.text(x, y + 62, f"Ground-glass {ground_glass} mL · high opacity {high} mL", 8.5, max_width=_BAR)


def _draw_classification(page: Page, case: Case, x: float, y: float) -> None:
    probabilities = case.analysis.probabilities
    if probabilities is None:
        page.text(x, y + 13, NO_CLASSIFIER, 8, max_width=_BAR, colour=SOFT)
        page.text(x, y + 38, "not available", 14, bold=True, colour=SOFT)
        page.text(x, y + 62, "No probability is given.", 8.5)
        return
    page.text(x, y + 13, f"Classification probabilities · {case.analysis.pipeline}", 8, max_width=_BAR, colour=SOFT)
    step = (HEIGHT - 18) / len(probabilities)
    for row, (name, probability) in enumerate(probabilities.items()):
        baseline = y + 25 + row * step
        page.text(x, baseline, name, 8.5, max_width=_BAR - 28)
        page.text(x + _BAR, baseline, f"{probability:.2f}", 9, bold=True, align="right")
        _draw_bar(page, x, baseline + 2.5, probability, height=2.5)


def _draw_bar(page: Page, x: float, y: float, part: float, ticks: tuple[float, ...] = (), height: float = 6.0) -> None:
    page.box(x, y, _BAR, height, fill=WHITE, stroke=RULE)
    if part > 0:
        page.box(x, y, max(_BAR * min(part, 1.0), 0.8), height, fill=ACCENT)
    for tick in ticks:
        page.line(x + _BAR * tick, y - 1.5, x + _BAR * tick, y + height + 1.5, SOFT, 0.8)
