"""The top of the page: use limitation, title, patient and study."""

from service.domain import codes
from service.evidence.case import Case, Filed
from service.evidence.report import words
from service.evidence.report.page import ACCENT, INK, INNER, MARGIN, RULE, SOFT, WHITE, WIDTH, Page

_LABEL_WIDTH = 76.0


Field = tuple[str, str]
"""Label and value."""


def draw_header(page: Page, case: Case, y: float) -> float:
    """Returns the y below it."""
    version = f"Thoracle {case.context.software_version} · {case.analysis.pipeline}"
    y = draw_title(page, "Chest CT: lung opacity report", "AI result", version, y)
    fields = (
        ("Study date", words.day(case.header.StudyDate)),
        ("Modality", words.text(case.header, "Modality")),
        ("Study description", words.text(case.header, "StudyDescription")),
        ("Series", _series(case)),
    )
    return draw_fields(page, case, fields, y)


def draw_title(page: Page, title: str, what: str, version: str, y: float) -> float:
    """Use limitation, title and who made it; returns the y below it. what: of the page, is not verified."""
    page.box(MARGIN, y, INNER, 20, fill=INK)
    page.text(MARGIN + 8, y + 13.8, codes.RESEARCH_USE.meaning, 11, bold=True, colour=WHITE)
    page.text(WIDTH - MARGIN - 8, y + 13.8, f"{what}, not verified by a physician", 8.5, colour=WHITE, align="right")
    page.text(MARGIN, y + 41, title, 16, bold=True, colour=ACCENT)
    page.text(WIDTH - MARGIN, y + 41, version, 8.5, colour=SOFT, align="right")
    page.line(MARGIN, y + 48, WIDTH - MARGIN, y + 48, ACCENT, 1.2)
    return y + 61


def draw_fields(page: Page, case: Filed, right: tuple[Field, Field, Field, Field], y: float) -> float:
    """The patient on the left, four fields on the right; returns the y below them."""
    header = case.header
    institution = words.text(header, "InstitutionName")
    if institution == words.ABSENT and case.context.institution:
        institution = case.context.institution
    left = (
        ("Patient", words.person_name(header)),
        ("Patient ID", words.text(header, "PatientID")),
        ("Born · sex · age", words.person(header)),
        ("Institution", institution),
    )
    middle = MARGIN + INNER / 2 + 8
    for row, ((label_a, value_a), (label_b, value_b)) in enumerate(zip(left, right, strict=True)):
        _draw_field(page, MARGIN, y + 13 * row, label_a, value_a, bold=row == 0)
        _draw_field(page, middle, y + 13 * row, label_b, value_b)
    bottom = y + 13 * len(left) - 6
    page.line(MARGIN, bottom, WIDTH - MARGIN, bottom, RULE)
    return bottom + 9


def _draw_field(page: Page, x: float, y: float, label: str, value: str, bold: bool = False) -> None:
    page.text(x, y, label, 8, colour=SOFT)
    page.text(x + _LABEL_WIDTH, y, value, 9, bold=bold, max_width=INNER / 2 - 8 - _LABEL_WIDTH)


def _series(case: Case) -> str:
    """Number, description, and how many slices of what spacing were analysed."""
    number, description = (words.text(case.header, k) for k in ("SeriesNumber", "SeriesDescription"))
    named = " ".join(part for part in (number, description) if part != words.ABSENT)
    slices = f"{case.ct.volume.shape[0]} slices every {case.ct.volume.spacing[0]:.2f} mm"
    return f"{named} · {slices}" if named else slices
