"""The page of a notice: why a CT was not analysed. It looks like the report, so that readers recognise it."""

from service.evidence.refused import RefusedSeries, RefusedStudy
from service.evidence.report import words
from service.evidence.report.header import Field, draw_fields, draw_title
from service.evidence.report.notes import draw_footer
from service.evidence.report.page import ACCENT, HEIGHT, INNER, MARGIN, PALE, RULE, SOFT, WIDTH, Page, wrapped

TITLE = "Chest CT not analysed"

_TOP, _FOOTER = 26.0, 44.0
_PAD, _STEP, _SIZE, _INDENT = 8.0, 12.0, 9.0, 10.0
_MOST_LINES = 16
"""Of one series, which leaves room for at least two."""


def notice_pdf(study: RefusedStudy) -> bytes:
    """The notice as PDF; the same study gives the same bytes."""
    page = Page(TITLE, study)
    y = draw_title(
        page, TITLE, "Automatic notice", f"Thoracle {study.context.software_version} · {study.context.pipeline}", _TOP
    )
    y = draw_fields(page, study, "Notice", _study_fields(study), y)
    y = _draw_summary(page, study.summary, y)
    bottom = HEIGHT - _FOOTER
    _draw_series(page, study.series, y, bottom - 6)
    draw_footer(page, study, f"Study {study.header.StudyInstanceUID}", bottom)
    return page.finish()


def _study_fields(study: RefusedStudy) -> tuple[Field, ...]:
    header = study.header
    return (
        ("Study date", words.day(header.StudyDate)),
        ("Accession number", words.text(header, "AccessionNumber")),
        ("Study description", words.text(header, "StudyDescription")),
        ("Series refused", f"{len(study.series)}, none could be analysed"),
    )


def _draw_summary(page: Page, summary: tuple[str, ...], y: float) -> float:
    first, *others = summary
    height = 30 + 14 * len(others)
    page.box(MARGIN, y, INNER, height, fill=PALE, stroke=RULE)
    page.text(MARGIN + _PAD, y + 20, first, 14, bold=True)
    for row, sentence in enumerate(others):
        page.text(MARGIN + _PAD, y + 36 + 14 * row, sentence, 10, max_width=INNER - 2 * _PAD)
    return y + height + 12


def _draw_series(page: Page, series: tuple[RefusedSeries, ...], y: float, bottom: float) -> None:
    """As many as there is room for, each whole; how many more there are."""
    for number, one in enumerate(series):
        lines = _lines(one)
        rest = len(series) - number
        if y + _height(lines) + (0 if rest == 1 else _STEP) > bottom:
            page.text(MARGIN, y + 10, f"And {rest} more series; the structured report of this notice lists all.", _SIZE)
            return
        _draw_one(page, one, lines, y)
        y += _height(lines)


def _draw_one(page: Page, one: RefusedSeries, lines: list[str], y: float) -> None:
    facts = " · ".join((words.text(one.header, "Modality"), images(one)))
    page.text(WIDTH - MARGIN, y + 10, facts, 8.5, colour=SOFT, align="right")
    page.text(MARGIN, y + 10, _name(one), 10.5, bold=True, colour=ACCENT, max_width=INNER - 170)
    for row, line in enumerate(lines, start=1):
        page.text(MARGIN, y + 11 + row * _STEP, line, _SIZE, max_width=INNER)
    page.line(MARGIN, y + _height(lines) - 9, WIDTH - MARGIN, y + _height(lines) - 9, RULE, 0.4)


def _height(lines: list[str]) -> float:
    return 11 + _STEP * len(lines) + 14


def _lines(one: RefusedSeries) -> list[str]:
    """Reasons with the values that decided them, then what can be done."""
    reasons = [line for r in one.refusals for line in _bullet("•", f"{r.reason.sentence} {r.detail} ({r.reason})")]
    todo = _bullet("→", f"What can be done: {' '.join(one.advice)}")
    room = _MOST_LINES - len(todo)
    if len(reasons) > room:
        reasons = [*reasons[: room - 1], "… more in the structured report of this notice"]
    return [*reasons, *todo]


def _bullet(mark: str, sentence: str) -> list[str]:
    first, *rest = wrapped(sentence, _SIZE, INNER - _INDENT)
    return [f"{mark} {first}", *(f"   {line}" for line in rest)]


def _name(one: RefusedSeries) -> str:
    told = [words.text(one.header, k) for k in ("SeriesNumber", "SeriesDescription")]
    named = " · ".join(part for part in told if part != words.ABSENT)
    return f"Series {named or one.uid}"


def images(one: RefusedSeries) -> str:
    """How many images there are, and how many frames in a multi-frame one."""
    if one.images is None:
        return "number of images not known"
    counted = f"{one.images} image{'' if one.images == 1 else 's'}"
    frames = words.text(one.header, "NumberOfFrames")
    return counted if frames in (words.ABSENT, "1") else f"{counted}, {frames} frames"
