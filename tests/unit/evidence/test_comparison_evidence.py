"""The comparison with an earlier CT in SR, printed report and text."""

import dataclasses
from io import BytesIO
from pathlib import Path

import pytest
from helpers import evidence_samples, make_ct
from helpers.comparison_samples import COMPARISON, DAYS, GREW, WITHHELD
from helpers.evidence_samples import encoded
from helpers.printed_pdf import printed
from highdicom.sr import srread
from pydicom import Dataset, dcmread

from service.domain import codes
from service.domain.comparison import Comparison
from service.evidence.case import Case
from service.evidence.context import ALWAYS, Selection
from service.evidence.report import report_pdf
from service.evidence.report.comparison import MOST_ROWS, comparison_table

pytestmark = pytest.mark.slow


def evidence(found: Comparison | None) -> dict[str, bytes]:
    """Files of a result with this comparison, by name."""
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    analysis = dataclasses.replace(analysis, comparison=found)
    selection = [Selection(kinds=ALWAYS | {"text"})]
    return {one.file_name: one.content for one in encoded(ct, analysis, evidence_samples.CONTEXT, selection)}


@pytest.fixture(scope="module")
def compared() -> dict[str, bytes]:
    return evidence(COMPARISON)


@pytest.fixture(scope="module")
def study(compared: dict[str, bytes]) -> Dataset:
    return dcmread(BytesIO(compared["study.sr.dcm"]))


def groups(study: Dataset) -> dict[str, Dataset]:
    """Measurement groups by their tracking identifier."""
    found = {}
    for container in study.ContentSequence:
        for group in container.get("ContentSequence", ()):
            for item in group.get("ContentSequence", ()):
                if item.ConceptNameCodeSequence[0].CodeValue == "112039":
                    found[str(item.TextValue)] = group
    return found


def numbers(group: Dataset) -> list[tuple[str, float, str]]:
    """Derivation, value and unit of each number."""
    found = []
    for item in group.ContentSequence:
        if item.ValueType == "NUM" and item.RelationshipType == "CONTAINS":
            derived = [c.ConceptCodeSequence[0].CodeValue for c in item.get("ContentSequence", ())]
            value = item.MeasuredValueSequence[0]
            unit = str(value.MeasurementUnitsCodeSequence[0].CodeValue)
            found.append((derived[0] if derived else "", float(value.NumericValue), unit))
    return found


def texts(group: Dataset) -> list[str]:
    return [str(item.TextValue) for item in group.ContentSequence if item.ValueType == "TEXT"]


def test_values_of_then_stand_at_their_time_point(study: Dataset) -> None:
    earlier = groups(study)["LUNG_TOTAL.EARLIER"]
    assert numbers(earlier) == [("", 3000.0, "mL"), ("", 2.5, "%")]
    assert "2023-05-01" in texts(earlier)


def test_changes_say_what_they_are(study: Dataset) -> None:
    assert numbers(groups(study)["LUNG_TOTAL.CHANGE"]) == [
        ("CHANGE", 196.0, "mL"),
        ("CHANGE-PERCENT", 6.5, "%"),
        ("CHANGE-PER-YEAR", 195.6, "mL/a"),
        ("CHANGE", 1.5, "%"),
        ("CHANGE-PER-YEAR", 1.4, "%/a"),
    ]


def test_a_finding_tells_its_match_and_doubling_time(study: Dataset) -> None:
    found = groups(study)
    assert ("", float(DAYS), "d") in numbers(found["GROUND_GLASS.CHANGE"])
    judged = {
        name: [i.ConceptCodeSequence[0].CodeValue for i in found[name].ContentSequence if i.ValueType == "CODE"][-1]
        for name in ("GROUND_GLASS.CHANGE", "HIGH_OPACITY.CHANGE", "OLD.THEN.CHANGE")
    }
    assert list(judged.values()) == ["MATCH-MATCHED", "MATCH-NEW", "MATCH-GONE"]


def test_what_has_no_change_and_what_a_reader_must_know_is_text(study: Dataset) -> None:
    said = texts(groups(study)["COMPARISON"])
    assert "CT severity score, 0-25: 7 then, not told now; not told now." in said
    assert {*COMPARISON.remarks, COMPARISON.result, COMPARISON.headline} <= {*said}
    assert ("", float(DAYS), "d") in numbers(groups(study)["COMPARISON"])
    assert WITHHELD.group + ".CHANGE" not in groups(study), "no number stands for what is withheld"


def test_the_earlier_objects_are_named_as_pertinent_other_evidence_and_replace_nothing(study: Dataset) -> None:
    (other,) = study.PertinentOtherEvidenceSequence
    assert other.StudyInstanceUID == COMPARISON.study_uid
    listed = {
        (str(one.SeriesInstanceUID), str(sop.ReferencedSOPInstanceUID))
        for one in other.ReferencedSeriesSequence
        for sop in one.ReferencedSOPSequence
    }
    assert listed == {(one.series_uid, one.sop_instance_uid) for one in COMPARISON.objects}
    (prior,) = (c for c in study.ContentSequence if c.ConceptNameCodeSequence[0].CodeValue == codes.PRIOR_REPORT.value)
    assert [item.ValueType for item in prior.ContentSequence] == ["COMPOSITE", "IMAGE"]
    assert "PredecessorDocumentsSequence" not in study


def test_another_reader_takes_the_document(compared: dict[str, bytes]) -> None:
    report = srread(BytesIO(compared["study.sr.dcm"]))
    assert len(report.content.get_image_measurement_groups()) >= 5


def test_nothing_of_it_stands_in_a_result_without_an_earlier_ct() -> None:
    alone = dcmread(BytesIO(evidence(None)["study.sr.dcm"]))
    assert "PertinentOtherEvidenceSequence" not in alone and "COMPARISON" not in groups(alone)


def test_the_printed_report_has_a_block(compared: dict[str, bytes], tmp_path: Path) -> None:
    text = " ".join(printed(compared["report.pdf"], tmp_path).split())
    for expected in (
        "Compared with 2023-05-01 (366 days earlier)",
        "Volume of both lungs 3000.0 mL 3196.0 mL +196.0 mL (+6.5 %) +195.6 mL",
        "Opacity, part of the lungs 2.5 % 4.0 % +1.5 points +1.4 points",
        "CT severity score, 0-25 7 not told not told now",
        "Ground-glass opacity volume doubling time 366 days",
        "High opacity not found in the earlier CT",
        "OLD of the earlier result no longer found",
        "Kernel: B70f then, B40f now.",
        "Earlier result: CT severity score, Pan 2020, 0-25: 7/25 moderate.",
    ):
        assert expected in text, expected


def test_more_lines_than_fit_are_said_to_be_in_the_structured_report(tmp_path: Path) -> None:
    many = dataclasses.replace(COMPARISON, numbers=(GREW,) * 12, remarks=("A remark that is long. " * 40,))
    assert len(comparison_table(many).rows) == MOST_ROWS
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    analysis = dataclasses.replace(analysis, comparison=many)
    body = evidence_samples.body_of(ct, analysis)
    text = printed(report_pdf(Case.of(ct, analysis, evidence_samples.CONTEXT), body), tmp_path)
    assert "Coronal, y" in text and "3D rendering" in text and "SHA-256" in text
    short = dataclasses.replace(many, remarks=())
    analysis = dataclasses.replace(analysis, comparison=short)
    text = printed(report_pdf(Case.of(ct, analysis, evidence_samples.CONTEXT), body), tmp_path)
    assert "8 more lines are in the structured report." in text


def test_the_report_as_text_tells_it_in_sentences(compared: dict[str, bytes]) -> None:
    document = dcmread(BytesIO(compared["report.sr.dcm"]))
    text = " ".join(str(one.value) for one in document.iterall() if one.VR != "SQ")
    assert "Volume of both lungs: 3000.0 mL then, 3196.0 mL now; +196.0 mL (+6.5 %), +195.6 mL per year." in text
    assert "Comparison with an earlier CT" in text
