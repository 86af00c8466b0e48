"""Charts on the page of a report: drawn as lines, with their numbers as text, the same again."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pypdfium2
import pytest
from helpers import evidence_samples
from helpers.programs import program
from numpy.typing import NDArray

from service.domain.report import Band, Chart, Curve, ReportBody
from service.evidence.case import Case
from service.evidence.report import report_pdf

pytestmark = pytest.mark.slow

CHART = Chart(
    caption="Histogram of something",
    x_title="units of x",
    y_title="parts of y",
    x_ticks=(-1000.0, -600.0, -200.0),
    curves=(
        Curve("Thick one", ((-1000.0, 0.0), (-600.0, 8.0), (-200.0, 0.0)), "thick"),
        Curve("Dashed one", ((-1000.0, 4.0), (-200.0, 4.0)), "dashed"),
    ),
    bands=(Band("Shaded", -900.0, -800.0),),
)


@pytest.fixture(scope="module")
def case_and_body() -> tuple[Case, ReportBody]:
    ct, analysis = evidence_samples.phantom()
    return Case.of(ct, analysis, evidence_samples.CONTEXT), evidence_samples.body_of(ct, analysis)


def page(case: Case, body: ReportBody, chart: Chart) -> bytes:
    return report_pdf(case, replace(body, large=(chart, body.large[1])))


def drawn(pdf: bytes) -> NDArray[np.uint8]:
    """Left half of the page, where the chart is; axes (row, column, colour)."""
    with pypdfium2.PdfDocument(pdf) as document:
        picture: NDArray[np.uint8] = document[0].render(scale=2).to_numpy()
    return picture[:, : picture.shape[1] // 2]


def test_words_and_numbers_of_a_chart_are_text(case_and_body: tuple[Case, ReportBody], tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_bytes(page(*case_and_body, CHART))
    command = [program("pdftotext"), "-layout", tmp_path / "report.pdf", "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    words = ("Histogram of something", "units of x", "parts of y", "Thick one", "Dashed one", "Shaded", "-600")
    assert [word for word in words if word not in text] == []


def test_the_axis_of_a_chart_has_its_highest_value(case_and_body: tuple[Case, ReportBody], tmp_path: Path) -> None:
    high = replace(CHART, curves=(Curve("High", ((-1000.0, 0.0), (-600.0, 71.4236), (-200.0, 0.0))),))
    (tmp_path / "report.pdf").write_bytes(page(*case_and_body, high))
    command = [program("pdftotext"), "-layout", tmp_path / "report.pdf", "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.search(r"(?<![\d.])71\.4(?![\d.])", text)


def test_the_same_chart_gives_the_same_bytes_and_another_curve_another_picture(
    case_and_body: tuple[Case, ReportBody],
) -> None:
    lower = replace(CHART, curves=(CHART.curves[0], Curve("Dashed one", ((-1000.0, 1.0), (-200.0, 1.0)), "dashed")))
    first, again, other = (page(*case_and_body, chart) for chart in (CHART, CHART, lower))
    assert first == again
    assert not np.array_equal(drawn(first), drawn(other))


def test_a_chart_of_nothing_but_zero_is_drawn(case_and_body: tuple[Case, ReportBody]) -> None:
    flat = replace(CHART, curves=(Curve("Flat", ((-1000.0, 0.0), (-200.0, 0.0))),), bands=())
    assert page(*case_and_body, flat).startswith(b"%PDF-")
