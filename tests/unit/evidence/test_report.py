"""The report: everything the paper's report has, on one page, in any script."""

import dataclasses
import subprocess
from io import BytesIO
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from helpers import enhanced_ct, evidence_samples, make_ct
from helpers.evidence_samples import encoded
from helpers.programs import program
from pydicom import Dataset, dcmread

from service.domain.analysis import Analysis, ModelUse
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.flags import LOSSY, LUNG_AT_EDGE, LUNG_DROPPED, Flag
from service.domain.rounding import millilitres_text, percent_text
from service.errors import Reason
from service.evidence.case import Case
from service.evidence.context import ALWAYS, EvidenceContext, PassedOver, Predecessor, Selection
from service.evidence.report import report_pdf, words
from service.evidence.report.fonts import runs, width
from service.evidence.report.page import MOST_LETTERS, fitted, wrapped
from service.evidence.result import result_document
from service.imaging.read import read_ct
from service.pipelines.covid_severity.flags import FLAGS, LOBE_MISSING, LOBES_APPROXIMATE, NO_NOISE_FLOOR
from service.pipelines.covid_severity.score import severity
from service.pipelines.shared.measure import Measurements, OpacityRegion, Region
from service.pipelines.shared.opacities import Opacity

pytestmark = pytest.mark.slow

ALL = ALWAYS | {"text"}

GOLDEN = {"LUL": (1336, 83), "LLL": (1609, 169), "RUL": (989, 101), "RML": (787, 37), "RLL": (1633, 115)}
"""Lung and opacity mL of the paper's example report."""


def golden(ct: CT, analysis: Analysis, **changes: Any) -> Analysis:
    """The paper's numbers; the pictures stay those of the phantom. changes: of what was measured."""
    lobes = {Lobe[k]: Region(lung, opacity, 0.0, -800.0) for k, (lung, opacity) in GOLDEN.items()}

    def together(names: str) -> Region:
        parts = [lobes[lobe] for lobe in Lobe if lobe.name[0] in names]
        return Region(sum(p.volume_ml for p in parts), sum(p.ggo_ml for p in parts), 0.0, None)

    regions = Measurements(
        lobes,
        {"left": together("L"), "right": together("R"), "total": together("LR")},
        {
            Opacity.GROUND_GLASS: OpacityRegion(505.0, 7.9, -600.0),
            Opacity.HIGH_OPACITY: OpacityRegion(0, 0, None),
        },
    )
    scored = severity({lobe.name: region for lobe, region in lobes.items()}, evidence_samples.FLOOR)
    return evidence_samples.remeasured(ct, analysis, **{"regions": regions, "severity": scored, **changes})


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


def page_of(ct: CT, analysis: Analysis, context: EvidenceContext = evidence_samples.CONTEXT) -> bytes:
    return report_pdf(Case.of(ct, analysis, context), evidence_samples.body_of(ct, analysis))


def report(
    folder: Path, header: dict[str, Any] | None = None, measured: dict[str, Any] | None = None, **changes: Any
) -> str:
    """measured: other than the paper's numbers. changes: of the analysis."""
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS, slices=88)
    for keyword, value in (header or {}).items():
        setattr(ct.headers[0], keyword, value)
    analysis = dataclasses.replace(golden(ct, analysis, **(measured or {})), **changes)
    return printed(page_of(ct, analysis), folder)


def test_everything_of_the_papers_report_is_there(tmp_path: Path) -> None:
    text = report(tmp_path, {"InstitutionName": "St. Elsewhere", "ReferringPhysicianName": "Curie^Marie"})
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
        "505.0 of 6354.0 mL",
        "Axial, image 58, z -734.2 mm: unmarked",
        "The same slice, marked: most affected slice",
        "Coronal, y -119.8 mm: most opacity",
        "Accession number",
        "PHANTOM1",
        "Curie, Marie",
        "88 every 2.50 mm, 2.5 mm thick",
        "kernel B40f",
        "v1 of 2024-05-01 14:05",
        "3D rendering",
        "Lobes: approximate, their borders are not exactly the fissures.",
        "lung-opacity-2d · version 1 · SHA-256 abababababab",
        "Grey scale -1250 to 250 HU",
    ):
        assert expected in text, expected


def test_golden_table_is_truncated_not_rounded(tmp_path: Path) -> None:
    rows = [line.split() for line in report(tmp_path).splitlines()]
    assert ["Right", "middle", "lobe", "787.0", "37.0", "37.0", "0", "4.7", "1"] in rows
    assert ["Left", "upper", "lobe", "1336.0", "83.0", "83.0", "0", "6.2", "2"] in rows
    assert ["Both", "lungs", "6354.0", "505.0", "505.0", "0", "7.9", "9", "/", "25"] in rows


def test_probabilities_and_no_warnings(tmp_path: Path) -> None:
    classes = {"COVID-19": 0.78, "Other pulmonary infection": 0.17, "No imaging signs of infection": 0.05}
    text = report(tmp_path, measured={"probabilities": classes}, flags=())
    assert all(f"{p:.2f}" in text and name in text for name, p in classes.items())
    assert "no validated model" not in text and "No warnings." in text


def test_a_better_series_that_was_refused_is_on_the_page(tmp_path: Path) -> None:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    context = evidence_samples.context(ct, passed_over=(PassedOver((Reason.TRUNCATED,), 3),))
    text = printed(page_of(ct, analysis, context), tmp_path)
    assert "A better series was not analysed: TRUNCATED, series 3." in text


def test_missing_lobe_has_no_total(tmp_path: Path) -> None:
    lobes = {**dict.fromkeys(GOLDEN, Region(1000.0, 10.0, 0.0, None)), "RML": None}
    scored = severity(lobes, evidence_samples.FLOOR)
    text = report(tmp_path, measured={"severity": scored}, flags=(LOBE_MISSING,))
    assert "no total score" in text and "not found" in text and "/ 25" not in text and "Involvement" not in text


def test_opacity_of_normal_lungs_is_not_called_mild(tmp_path: Path) -> None:
    lobes = {**dict.fromkeys(GOLDEN, Region(800.0, 0.0, 0.0, None)), "RML": Region(284.0, 2.55, 0.0, None)}
    text = report(tmp_path, measured={"severity": severity(lobes, evidence_samples.FLOOR)})
    assert "0 / 25" in text and "without noise floor: 1" in text and "Involvement: none" in text
    assert "within what is found in normal lungs" in text
    assert next(line.split() for line in text.splitlines() if "0 (1)" in line)[:3] == ["Right", "middle", "lobe"]


def test_no_cause_is_claimed(tmp_path: Path) -> None:
    text = " ".join(report(tmp_path).split())
    assert "Mass, atelectasis, effusion: not told from consolidation." in text
    assert text.count("consolidation") == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((LUNG_AT_EDGE,), "! Score doubtful: incomplete lungs"),
        ((LUNG_DROPPED,), "! Score doubtful: incomplete lungs"),
        ((NO_NOISE_FLOOR, LOSSY), "! Score doubtful: noise is scored, too"),
    ],
)
def test_what_makes_the_score_doubtful_stands_beside_it(tmp_path: Path, flags: tuple[Flag, ...], words: str) -> None:
    assert words in report(tmp_path, flags=flags)


def test_several_doubts_stand_in_two_lines(tmp_path: Path) -> None:
    text = report(tmp_path, flags=(LUNG_AT_EDGE, NO_NOISE_FLOOR))
    assert "! Score doubtful: incomplete lungs," in text and "noise is" in text and "scored, too" in text


def test_the_headline_is_plain_where_nothing_makes_it_doubtful(tmp_path: Path) -> None:
    assert "doubtful" not in report(tmp_path, flags=(LOBES_APPROXIMATE, LOSSY))


def test_a_warning_tells_the_values_that_raised_it(tmp_path: Path) -> None:
    detail = "Of the left lung's surface to the back, 3.1% lies at the edge of the images."
    text = " ".join(report(tmp_path, flags=(LUNG_AT_EDGE.because(detail), LOSSY)).split())
    assert f"• Incomplete lungs: a lung reaches the edge of the images. {detail} • {LOSSY.sentence}" in text


def test_no_opacity_is_said(tmp_path: Path) -> None:
    ct, analysis = evidence_samples.phantom()
    text = printed(page_of(ct, analysis), tmp_path)
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
    text = report(tmp_path, flags=FLAGS, models=models)
    assert all(flag.sentence in text for flag in FLAGS) and all(model.name in text for model in models)


def test_the_same_case_gives_the_same_bytes() -> None:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    assert page_of(ct, analysis) == page_of(ct, analysis)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.0479, "0.047"),
        (0.00004, "0.001"),
        (0.1, "0.1"),
        (4.7014, "4.7"),
        (4.9999, "4.9"),
        (7.96, "7.9"),
        (8.3, "8.3"),
        (100.0, "100.0"),
    ],
)
def test_percentages_are_truncated(value: float, shown: str) -> None:
    assert percent_text(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, "0"), (0.0476, "0.048"), (3.44, "3.4"), (0.0976, "0.098"), (1336.44, "1336.4")]
)
def test_millilitres(value: float, shown: str) -> None:
    assert millilitres_text(value) == shown


def test_birth_sex_and_age() -> None:
    header = Dataset()
    assert words.person(header) == "not recorded"
    header.PatientSex, header.PatientAge, header.PatientBirthDate = "F", "007M", "20240102"
    assert words.person(header) == "2024-01-02 · female · 7 months"


def test_institution_of_the_context_stands_in(tmp_path: Path) -> None:
    ct, analysis = evidence_samples.phantom()
    ct.headers[0].InstitutionName = ""
    context = evidence_samples.context(ct, institution="Our hospital")
    assert "Our hospital" in printed(page_of(ct, analysis, context), tmp_path)


def test_a_report_that_replaces_an_earlier_one_says_so(tmp_path: Path) -> None:
    ct, analysis = evidence_samples.phantom()
    sentence = "This report (v2) of covid-severity replaces result v1 of 2024-05-01 13:58."
    assert "replaces" not in printed(page_of(ct, analysis), tmp_path)
    earlier = Predecessor("1.2.840.10008.5.1.4.1.1.104.1", "1.2.3.4", "1.2.3", "1.2")
    second = evidence_samples.context(ct, number=2, replaces=evidence_samples.replacing(earlier))
    assert sentence in " ".join(printed(page_of(ct, analysis, second), tmp_path).split())


def test_the_footer_tells_of_the_acquisition_only(tmp_path: Path) -> None:
    ct, analysis = evidence_samples.phantom()
    for header in ct.headers:
        header.ContentDate = "20250101"
    assert "CT of 2024-05-01 10:16" in printed(page_of(ct, analysis), tmp_path)
    for header in ct.headers:
        header.AcquisitionTime = None
    assert "CT of" not in printed(page_of(ct, analysis), tmp_path)


def test_the_metadata_tell_the_software_and_the_time_of_the_analysis(tmp_path: Path) -> None:
    ct, analysis = evidence_samples.phantom()
    ct.headers[0].TimezoneOffsetFromUTC = "+0530"
    (tmp_path / "report.pdf").write_bytes(page_of(ct, analysis))
    info = output_of("pdfinfo", "-rawdates", tmp_path / "report.pdf")
    assert "D:20240501193530+05'30'" in info and "Creator:         Thoracle 0.1.0\n" in info


def test_the_slices_of_an_enhanced_ct_are_described_too(tmp_path: Path) -> None:
    scan = make_ct.make(findings=make_ct.FINDINGS)
    ct = read_ct([enhanced_ct.enhance(scan.datasets)])
    analysis = evidence_samples.analysis_of(ct, scan.truth.lobe_mask, scan.truth.finding_mask)
    text = printed(page_of(ct, analysis), tmp_path)
    assert "2.5 mm thick" in text and "Axial, frame" in text


def test_structured_and_printed_report_and_json_show_the_same_numbers(tmp_path: Path) -> None:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    region = Region(1029.26, 0.0312, 49.4, -850.4)
    regions = evidence_samples.measured_of(ct, *evidence_samples.masks(analysis)).regions
    regions = dataclasses.replace(regions, lungs={**regions.lungs, "right": region})
    analysis = evidence_samples.remeasured(ct, analysis, regions=regions)
    pdf, root, text = (
        {e.kind: e.content for e in encoded(ct, analysis, evidence_samples.context(ct), [Selection(kinds=ALL)])}[kind]
        for kind in ("report", "study", "text")
    )
    document = result_document(
        pipeline="p", series_uid="1", analysis=analysis, analysed_at=evidence_samples.ANALYSED_AT
    )
    right = document["measurements"]["LUNG_RIGHT"]
    assert right == {
        "volume_ml": 1029.3,
        "opacity_ml": 49.4,
        "opacity_percent": 4.8,
        "ground_glass_ml": 0.031,
        "high_opacity_ml": 49.4,
    }
    group = next(g for g in sr_groups(dcmread(BytesIO(root))) if "LUNG_RIGHT" in str(g))
    values = [i.MeasuredValueSequence[0].NumericValue for i in group.ContentSequence if i.ValueType == "NUM"]
    assert values == list(right.values())
    row = next(line.split() for line in printed(pdf, tmp_path).splitlines() if "Right lung" in line)
    assert row == ["Right", "lung", "1029.3", "49.4", "0.031", "49.4", "4.8"]
    assert b"Right lung: 1029.3 mL, of it opacity 49.4 mL (4.8 %)." in text


def sr_groups(document: Dataset) -> list[Dataset]:
    (measurements,) = [
        i for i in document.ContentSequence if i.ConceptNameCodeSequence[0].CodeMeaning == "Imaging Measurements"
    ]
    return list(measurements.ContentSequence)


def test_every_flag_of_incomplete_lungs_makes_the_score_doubtful() -> None:
    incomplete = [flag for flag in FLAGS if "incomplete" in flag.sentence.lower()]
    assert LUNG_AT_EDGE in incomplete and LUNG_DROPPED in incomplete
    assert [flag for flag in incomplete if flag.doubt is None] == []


def test_a_text_of_any_length_is_laid_out_at_once() -> None:
    """Letters are neither shortened nor wrapped one by one: a name of 60,000 took many minutes."""
    with patch("service.evidence.report.page.width", wraps=width) as measured:
        text, _ = fitted("A" * 60_000, 9, False, 180)
        lines = wrapped("A" * 60_000, 9, 180)
    assert text.endswith("…") and 10 < len(text) < 100
    assert sum(map(len, lines)) == MOST_LETTERS + 1 and all(width(line, 9) <= 180 for line in lines)
    assert measured.call_count < 2000


@pytest.mark.parametrize("max_width", [1.0, 20.0, 180.0])
def test_what_is_cut_is_as_long_as_fits(max_width: float) -> None:
    whole = "Wolfeschlegelsteinhausenbergerdorff " * 6
    text, size = fitted(whole, 9, True, max_width)
    kept = len(text) - 1
    assert kept == 1 or width(text, size, True) <= max_width < width(whole[: kept + 1] + "…", size, True)
