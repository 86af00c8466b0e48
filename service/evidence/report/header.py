"""The top of the page: use limitation, title, patient and study."""

from collections.abc import Sequence

from pydicom import Dataset

from service.domain import codes
from service.evidence.case import Case, Filed
from service.evidence.report import words
from service.evidence.report.page import ACCENT, INK, INNER, MARGIN, RULE, SOFT, WHITE, WIDTH, Page
from service.evidence.series import written_at

_LABEL_WIDTH, _ROW = 80.0, 12.0


Field = tuple[str, str]
"""Label and value."""


def draw_header(page: Page, case: Case, title: str, y: float) -> float:
    """Returns the y below it."""
    version = f"Thoracle {case.context.software_version} · {case.context.pipeline}"
    y = draw_title(page, title, "AI result", version, y)
    fields = (
        ("Study date", words.day(case.header.StudyDate)),
        ("Accession number", words.text(case.header, "AccessionNumber")),
        ("Study description", words.text(case.header, "StudyDescription")),
        ("Series", _series(case)),
        ("Slices", _slices(case)),
        ("Reconstruction", _reconstruction(case)),
    )
    return draw_fields(page, case, "Result", fields, y)


def draw_title(page: Page, title: str, what: str, version: str, y: float) -> float:
    """Use limitation, title and who made it; returns the y below it. what: of the page, is not verified."""
    page.box(MARGIN, y, INNER, 20, fill=INK)
    page.text(MARGIN + 8, y + 13.8, codes.RESEARCH_USE.meaning, 11, bold=True, colour=WHITE)
    page.text(WIDTH - MARGIN - 8, y + 13.8, f"{what}, not verified by a physician", 8.5, colour=WHITE, align="right")
    page.text(MARGIN, y + 41, title, 16, bold=True, colour=ACCENT)
    page.text(WIDTH - MARGIN, y + 41, version, 8.5, colour=SOFT, align="right")
    page.line(MARGIN, y + 48, WIDTH - MARGIN, y + 48, ACCENT, 1.2)
    return y + 61


def draw_fields(page: Page, case: Filed, what: str, right: Sequence[Field], y: float) -> float:
    """The patient and the result on the left, other fields on the right; returns the y below them.

    what: a result or a notice.
    """
    left = _patient_fields(case, what)
    middle = MARGIN + INNER / 2 + 8
    for row, (label, value) in enumerate(left):
        _draw_field(page, MARGIN, y + _ROW * row, label, value, bold=row == 0)
    for row, (label, value) in enumerate(right):
        _draw_field(page, middle, y + _ROW * row, label, value)
    bottom = y + _ROW * max(len(left), len(right)) - 6
    page.line(MARGIN, bottom, WIDTH - MARGIN, bottom, RULE)
    return bottom + 9


def _patient_fields(case: Filed, what: str) -> tuple[Field, ...]:
    header = case.header
    institution = words.text(header, "InstitutionName")
    if institution == words.ABSENT and case.context.institution:
        institution = case.context.institution
    return (
        ("Patient", words.person_name(header)),
        ("Patient ID", words.text(header, "PatientID")),
        ("Born · sex · age", words.person(header)),
        ("Referred by", words.person_name(header, "ReferringPhysicianName")),
        ("Institution", institution),
        (what, f"v{case.context.number} of {written_at(case):%Y-%m-%d %H:%M}"),
    )


def _draw_field(page: Page, x: float, y: float, label: str, value: str, bold: bool = False) -> None:
    page.text(x, y, label, 8, colour=SOFT)
    page.text(x + _LABEL_WIDTH, y, value, 9, bold=bold, max_width=INNER / 2 - 8 - _LABEL_WIDTH)


def _series(case: Case) -> str:
    """Number and description."""
    parts = (words.text(case.header, keyword) for keyword in ("SeriesNumber", "SeriesDescription"))
    return " ".join(part for part in parts if part != words.ABSENT) or words.ABSENT


def _slices(case: Case) -> str:
    """How many were analysed, how far apart, and how thick they are."""
    slices = f"{case.ct.volume.shape[0]} every {case.ct.volume.spacing[0]:.2f} mm"
    try:
        return f"{slices}, {float(_functional(case, 'PixelMeasuresSequence', 'SliceThickness')):g} mm thick"
    except ValueError:  # not recorded
        return slices


def _reconstruction(case: Case) -> str:
    """The kernel, as the scanner calls it."""
    kernel = _functional(case, "CTReconstructionSequence", "ConvolutionKernel")
    return kernel if kernel == words.ABSENT else f"kernel {kernel}"


def _functional(case: Case, sequence: str, keyword: str) -> str:
    """An attribute of the image; of an Enhanced CT that of all its frames (PS3.3 C.7.6.16)."""
    shared = case.header.get("SharedFunctionalGroupsSequence") or [Dataset()]
    group = shared[0].get(sequence) or [case.header]
    return words.text(group[0], keyword)
