"""The report: everything the paper's report has, on one page, in any script."""

import dataclasses
import subprocess
from pathlib import Path
from typing import Any

import evidence_samples
import make_ct
import pytest
from programs import program
from pydicom import Dataset

from service.domain.findings import Analysis, Finding, FindingRegion, Lobe, ModelUse, Region
from service.domain.severity import Severity, severity
from service.errors import Flag
from service.evidence.case import Case
from service.evidence.context import Predecessor
from service.evidence.report import report_pdf, words
from service.evidence.report.fonts import runs, width
from service.evidence.report.page import fitted

GOLDEN = {"LUL": (1336, 83), "LLL": (1609, 169), "RUL": (989, 101), "RML": (787, 37), "RLL": (1633, 115)}
"""Lung and opacity mL of the paper's example report."""


def golden(analysis: Analysis) -> Analysis:
    """The paper's numbers; the pictures stay those of the phantom."""
    lobes = {Lobe[k]: Region(lung, opacity, 0.0, -800.0) for k, (lung, opacity) in GOLDEN.items()}

    def together(names: str) -> Region:
        parts = [lobes[lobe] for lobe in Lobe if lobe.name[0] in names]
        return Region(sum(p.volume_ml for p in parts), sum(p.ggo_ml for p in parts), 0.0, None)

    return dataclasses.replace(
        analysis,
        lobes=lobes,
        lungs={"left": together("L"), "right": together("R"), "total": together("LR")},
        findings={
            Finding.GROUND_GLASS: FindingRegion(505.0, 7.9, -600.0),
            Finding.HIGH_OPACITY: FindingRegion(0, 0, None),
        },
        severity=severity({lobe.name: region.opacity_percent for lobe, region in lobes.items()}),
    )


def output_of(name: str, *arguments: str | Path) -> str:
    """What one of poppler-utils prints."""
    return subprocess.run([program(name), *arguments], capture_output=True, text=True, check=True).stdout


def printed(pdf: bytes, folder: Path) -> str:
    """The page's text as another program reads it; asserts that it is one page."""
    path = folder / "report.pdf"
    path.write_bytes(pdf)
    info = output_of("pdfinfo", path)
    assert "Pages:           1\n" in info and "595.276 x 841.89 pts (A4)" in info
    return subprocess.run(
        [program("pdftotext"), "-layout", path, "-"], capture_output=True, text=True, check=True
    ).stdout


def report(folder: Path, header: dict[str, Any] | None = None, **changes: Any) -> str:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS, slices=88)
    for keyword, value in (header or {}).items():
        setattr(ct.headers[0], keyword, value)
    analysis = dataclasses.replace(golden(analysis), **changes)
    return printed(report_pdf(Case.of(ct, analysis, evidence_samples.context(ct))), folder)


def test_everything_of_the_papers_report_is_there(tmp_path: Path) -> None:
    text = report(tmp_path, {"InstitutionName": "St. Elsewhere"})
    for expected in (
        "Research use only. Not for diagnostic use",
        "St. Elsewhere",
        "Phantom, Chest",
        "PHANTOM",
        "2024-05-01",
        "Thoracle 0.1.0",
        "Classification: no validated model installed",
        "CT severity score, Pan 2020, 0-25",
        "9 / 25",
        "Involvement: moderate",
        "505 of 6354 mL",
        "Axial: most affected slice (image",
        "Coronal: most affected plane",
        "3D rendering",
        "Lobes: approximate, borders 4.5 mm from fissures on average.",
        "lung-opacity-2d · version 1 · SHA-256 abababababab",
        "Grey scale -1250 to 250 HU",
    ):
        assert expected in text, expected


def test_golden_table_is_truncated_not_rounded(tmp_path: Path) -> None:
    rows = [line.split() for line in report(tmp_path).splitlines()]
    assert ["Right", "middle", "lobe", "787", "37", "37", "0", "4.7", "1"] in rows
    assert ["Left", "upper", "lobe", "1336", "83", "83", "0", "6.2", "2"] in rows
    assert ["Both", "lungs", "6354", "505", "505", "0", "7.9", "9", "/", "25"] in rows


def test_probabilities_and_no_warnings(tmp_path: Path) -> None:
    classes = {"COVID-19": 0.78, "Other pulmonary infection": 0.17, "No imaging signs of infection": 0.05}
    text = report(tmp_path, probabilities=classes, flags=())
    assert all(f"{p:.2f}" in text and name in text for name, p in classes.items())
    assert "no validated model" not in text and "No warnings." in text


def test_missing_lobe_has_no_total(tmp_path: Path) -> None:
    scores = {**dict.fromkeys(GOLDEN, 1), "RML": None}
    text = report(tmp_path, severity=Severity(scores, None, None), flags=(Flag.LOBE_MISSING,))
    assert "no total score" in text and "not found" in text and "/ 25" not in text and "Involvement" not in text


@pytest.mark.parametrize("flag", [Flag.LUNG_AT_EDGE, Flag.LUNG_DROPPED])
def test_incomplete_lungs_stand_beside_the_score(tmp_path: Path, flag: Flag) -> None:
    assert "incomplete lungs" in report(tmp_path, flags=(flag,))
    assert "incomplete lungs" not in report(tmp_path, flags=(Flag.LOSSY,))


def test_no_opacity_is_said(tmp_path: Path) -> None:
    ct, analysis = evidence_samples.phantom()
    text = printed(report_pdf(Case.of(ct, analysis, evidence_samples.context(ct))), tmp_path)
    assert "no opacity found; slice with the most lung" in text and "Involvement: none" in text


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "Yamada, Tarou (山田 太郎)"),
        ("Wang^XiaoDong=王^小东", "Wang, XiaoDong (王 小东)"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "Hong, Gildong (洪 吉洞)"),
        ("Иванова^Мария^Петровна", "Иванова, Мария Петровна"),
        ("Doe^Jane^Q^Dr^MD", "Doe, Dr Jane Q MD"),
        ("Nguyễn^Thị Ánh", "Nguyễn, Thị Ánh"),
        ("", "not recorded"),
    ],
)
def test_names_print_in_every_script_with_embedded_fonts(tmp_path: Path, name: str, shown: str) -> None:
    text = report(tmp_path, {"SpecificCharacterSet": "ISO_IR 192", "PatientName": name})
    assert shown in text
    fonts = subprocess.run(
        [program("pdffonts"), tmp_path / "report.pdf"], capture_output=True, text=True, check=True
    ).stdout
    embedded = [line.split()[-5] for line in fonts.splitlines()[2:]]
    assert embedded and set(embedded) == {"yes"}


def test_arabic_is_shaped_and_runs_from_right_to_left() -> None:
    (font, shaped), *_ = runs("محمد")
    assert font == "FiraGO" and [hex(ord(letter)) for letter in shaped] == ["0xfeaa", "0xfee4", "0xfea4", "0xfee3"]


def test_very_long_names_do_not_overflow() -> None:
    text, size = fitted("Wolfeschlegelsteinhausenbergerdorff " * 6, 9, True, 180)
    assert text.endswith("…") and size < 9 and width(text, size, True) <= 180
    nearly = "Forty characters that nearly fit in here"
    assert fitted(nearly, 9, False, 0.9 * width(nearly, 9)) == (nearly, pytest.approx(8.1))


def test_all_flags_and_many_models_fit(tmp_path: Path) -> None:
    models = tuple(ModelUse(f"a-rather-long-model-name-{k}", "2026.1", "0" * 64) for k in range(6))
    text = report(tmp_path, flags=tuple(Flag), models=models)
    assert all(flag.sentence in text for flag in Flag) and all(model.name in text for model in models)


def test_the_same_case_gives_the_same_bytes() -> None:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    case = Case.of(ct, analysis, evidence_samples.context(ct))
    assert report_pdf(case) == report_pdf(case)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.04, "<0.1"),
        (0.1, "0.1"),
        (4.7014, "4.7"),
        (4.9999, "4.9"),
        (7.96, "7.9"),
        (8.3, "8.3"),
        (100.0, "100.0"),
    ],
)
def test_percentages_are_truncated(value: float, shown: str) -> None:
    assert words.percent(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (0.04, "<0.1"), (3.44, "3.4"), (12.5, "12"), (1336.4, "1336")]
)
def test_millilitres(value: float, shown: str) -> None:
    assert words.millilitres(value) == shown


def test_birth_sex_and_age() -> None:
    header = Dataset()
    assert words.person(header) == "not recorded"
    header.PatientSex, header.PatientAge, header.PatientBirthDate = "F", "007M", "20240102"
    assert words.person(header) == "2024-01-02 · female · 7 months"


def test_institution_of_the_context_stands_in(tmp_path: Path) -> None:
    ct, analysis = evidence_samples.phantom()
    ct.headers[0].InstitutionName = ""
    context = evidence_samples.context(ct, institution="Our hospital")
    assert "Our hospital" in printed(report_pdf(Case.of(ct, analysis, context)), tmp_path)


def test_a_report_that_replaces_an_earlier_one_says_so(tmp_path: Path) -> None:
    ct, analysis = evidence_samples.phantom()
    sentence = "This report replaces an earlier result of this study."
    first = evidence_samples.context(ct)
    assert sentence not in printed(report_pdf(Case.of(ct, analysis, first)), tmp_path)
    earlier = Predecessor("1.2.840.10008.5.1.4.1.1.104.1", "1.2.3.4", "1.2.3", "1.2")
    second = evidence_samples.context(ct, predecessors=(earlier,))
    assert sentence in printed(report_pdf(Case.of(ct, analysis, second)), tmp_path)


def test_the_footer_tells_of_the_acquisition_only(tmp_path: Path) -> None:
    ct, analysis = evidence_samples.phantom()
    for header in ct.headers:
        header.ContentDate = "20250101"
    assert "CT of 2024-05-01 10:16" in printed(
        report_pdf(Case.of(ct, analysis, evidence_samples.context(ct))), tmp_path
    )
    for header in ct.headers:
        header.AcquisitionTime = None
    assert "CT of" not in printed(report_pdf(Case.of(ct, analysis, evidence_samples.context(ct))), tmp_path)
