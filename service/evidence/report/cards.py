"""The three key results: severity, extent, classification."""

from service.domain import codes, severity
from service.domain.findings import Finding
from service.errors import doubts
from service.evidence.case import Case
from service.evidence.report import words
from service.evidence.report.page import ACCENT, INNER, MARGIN, PALE, RULE, SOFT, WHITE, Page, wrapped

HEIGHT, _GAP, _PAD = 96.0, 9.0, 8.0
_WIDTH = (INNER - 2 * _GAP) / 3
_BAR = _WIDTH - 2 * _PAD

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
    published = "no noise floor" if score.floor is None else f"without noise floor: {score.without_floor.total}"
    page.text(x + _BAR, y + 38, published, 7.5, align="right")
    _draw_bar(page, x, y + 45, score.total / severity.MAX, ticks=(5.5 / severity.MAX, 14.5 / severity.MAX))
    page.text(x, y + 62, f"Involvement: {score.category}", 9.5, bold=True)
    if score.within_normal:
        page.text(x, y + 71.5, severity.WITHIN_NORMAL, 8, max_width=_BAR)
    _draw_doubts(page, doubts(case.flags), x, y + (80.5 if score.within_normal else 72))


def _draw_doubts(page: Page, reasons: tuple[str, ...], x: float, y: float) -> None:
    """One line or two; what does not fit is cut: the notes name every warning."""
    if not reasons:
        return
    first, *rest = wrapped(f"! Score doubtful: {', '.join(reasons)}", 7.5, _BAR)
    for row, line in enumerate(filter(None, (first, " ".join(rest)))):
        page.text(x, y + 9 * row, line, 7.5, bold=True, max_width=_BAR)


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
    for row, line in enumerate(wrapped(f"{codes.NOT_TOLD_APART.meaning}.", 7.5, _BAR)):
        page.text(x, y + 73 + 9 * row, line, 7.5, max_width=_BAR)


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
