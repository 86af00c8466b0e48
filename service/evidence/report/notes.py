"""How to read the numbers, quality warnings in words, and the models behind it all."""

from collections.abc import Mapping, Sequence

from service.domain import codes
from service.domain.report import ReportBody
from service.evidence.case import Case, Filed
from service.evidence.replaced import replaces
from service.evidence.report.page import ACCENT, INNER, MARGIN, SOFT, WIDTH, Page, wrapped

_LINE = 10.0
"""Line pitch in points, less where the notes would not fit."""

_SMALLER = tuple(_LINE - 0.25 * n for n in range(29))
"""Pitches that are tried, the largest first."""


def draw_notes(page: Page, case: Case, body: ReportBody, x: float, y: float, width: float, height: float) -> None:
    """Titled lists, one below the other, in a box of `width` by `height`."""
    sections = {"Quality": _quality(case, body), "Models": _models(case), body.notes_heading: body.notes}
    lines = _wrapped(sections, width, _LINE)
    step = min(_LINE, height / _lines(lines))
    if case.analysis.comparison is not None:  # it takes room: smaller letters make use of the whole width
        step = next((one for one in _SMALLER if one * _lines(_wrapped(sections, width, one)) <= height), step)
        lines = _wrapped(sections, width, step)
        step = min(step, height / _lines(lines))
    for title, bullets in lines.items():
        page.text(x, y + step, title, 0.9 * step, bold=True, colour=ACCENT)
        for row, line in enumerate(bullets, start=1):
            page.text(x, y + (row + 1.05) * step, line, 0.78 * step, max_width=width)
        y += (len(bullets) + 1.8) * step


def _wrapped(sections: Mapping[str, Sequence[str]], width: float, step: float) -> dict[str, list[str]]:
    """The lines of each section at a line pitch of `step`."""
    return {title: [line for text in texts for line in _bullet(text, width, step)] for title, texts in sections.items()}


def _lines(lines: Mapping[str, Sequence[str]]) -> float:
    """How many lines the sections take, with their titles."""
    return sum(len(bullets) + 1.8 for bullets in lines.values())


def draw_footer(page: Page, case: Filed, what: str, y: float) -> None:
    """what: the page is about, by its UID."""
    page.line(MARGIN, y, WIDTH - MARGIN, y, ACCENT, 0.9)
    page.text(MARGIN, y + 10, codes.RESEARCH_USE.meaning, 8, bold=True)
    page.text(WIDTH - MARGIN, y + 10, "page 1 of 1", 7.5, colour=SOFT, align="right")
    if case.acquired is not None:
        what += f" · CT of {case.acquired:%Y-%m-%d %H:%M}"
    page.text(MARGIN, y + 19.5, what, 7, colour=SOFT, max_width=INNER)


def _quality(case: Case, body: ReportBody) -> tuple[str, ...]:
    return (*replaces("report", case), *(case.warnings or ("No warnings.",)), *body.quality)


def _models(case: Case) -> tuple[str, ...]:
    return tuple(
        f"{model.name} · version {model.version} · SHA-256 {model.sha256[:12]}" for model in case.analysis.models
    )


def _bullet(sentence: str, width: float, step: float) -> list[str]:
    first, *rest = wrapped(sentence, 0.78 * step, width - 8)
    return [f"• {first}", *(f"   {line}" for line in rest)]
