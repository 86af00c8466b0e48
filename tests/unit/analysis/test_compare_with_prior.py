"""A CT and that of a year before, through files as `thoracle analyse` writes them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers.nodules import Nodules
from helpers.two_visits import DAYS, FIRST, HIGH, LEFT, RIGHT, SECOND, analysed, nodule, visit
from pydicom import dcmread

from service.analysis.analyst import Outcome
from service.domain.comparison import Comparison, FindingChange, Match
from service.domain.pipeline import ComparisonRules

pytestmark = pytest.mark.slow

GROWN = (nodule(RIGHT, 8.0), nodule(HIGH, 1.0))
MOVED = {"turned_deg": 6.0, "centre_mm": (14.5, -150.0, -650.0)}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of the first CT: two nodules, the larger in the right lung."""
    folder = tmp_path_factory.mktemp("before")
    assert analysed(visit(FIRST, nodule(RIGHT, 4.0), nodule(LEFT, 2.0)), folder).analysis is not None
    return folder


@pytest.fixture(scope="module")
def outcome(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """One nodule doubled, one gone, one new; the patient lies elsewhere and turned."""
    return analysed(visit(SECOND, *GROWN, **MOVED), tmp_path_factory.mktemp("after"), before)


def comparison_of(outcome: Outcome) -> Comparison:
    assert outcome.analysis is not None and outcome.analysis.comparison is not None, outcome.document["warnings"]
    return outcome.analysis.comparison


def finding(outcome: Outcome, match: Match) -> FindingChange:
    (found,) = (one for one in comparison_of(outcome).findings if one.match is match)
    return found


def test_the_earlier_ct_is_named(outcome: Outcome, before: Path) -> None:
    found = comparison_of(outcome)
    root = dcmread(before / "study.sr.dcm")
    assert (found.study_uid, found.days) == (root.StudyInstanceUID, DAYS)
    assert [one.kind for one in found.objects] == ["study", "lobes", "nodules"]
    assert found.objects[0].sop_instance_uid == root.SOPInstanceUID
    assert found.title == "Compared with 2024-05-01 (365 days earlier)"


def test_the_grown_nodule_is_matched_and_doubles_in_a_year(outcome: Outcome) -> None:
    grown = finding(outcome, Match.MATCHED)
    assert (grown.now, grown.then) == ("NODULE_1", "NODULE_1")
    diameter, volume = grown.numbers
    assert volume.then == pytest.approx(4.0, rel=0.06) and volume.now == pytest.approx(8.0, rel=0.06)
    assert diameter.percent == pytest.approx(100 * (2 ** (1 / 3) - 1), abs=5.0), "RECIST: longest diameter in percent"
    assert grown.doubling_days == pytest.approx(DAYS, rel=0.1)


def test_what_is_new_and_what_is_gone_is_said(outcome: Outcome) -> None:
    assert finding(outcome, Match.NEW).now == "NODULE_2"
    gone = finding(outcome, Match.GONE)
    assert (gone.then, gone.title) == ("NODULE_2", "NODULE_2 of the earlier result")


def test_the_registration_was_checked(outcome: Outcome) -> None:
    overlap = comparison_of(outcome).overlap
    assert overlap is not None and 0.9 < overlap <= 1.0


def test_the_same_two_cts_give_the_same_bytes(outcome: Outcome, before: Path, tmp_path: Path) -> None:
    again = analysed(visit(SECOND, *GROWN, **MOVED), tmp_path, before)
    assert [one.content for one in again.evidence] == [one.content for one in outcome.evidence]


def test_without_an_earlier_result_the_bytes_are_others(outcome: Outcome, tmp_path: Path) -> None:
    alone = analysed(visit(SECOND, *GROWN, **MOVED), tmp_path)
    assert alone.analysis is not None and alone.analysis.comparison is None and "comparison" not in alone.document
    uids = {one.sop_instance_uid for one in outcome.evidence if one.sop_instance_uid}
    assert not uids & {one.sop_instance_uid for one in alone.evidence}


def changed(attributes: dict[str, Any]) -> dict[str, Any]:
    """A second visit that says otherwise whose it is."""
    return {"attributes": attributes}


@pytest.mark.parametrize(
    ("attributes", "flag", "detail"),
    [
        ({"PatientBirthDate": "19640502", "PatientAge": "061Y"}, "PRIOR_CONTRADICTS", "Different: birth date."),
        ({"PatientSex": "F", "PatientName": "Other^One"}, "PRIOR_CONTRADICTS", "Different: sex, name."),
        ({"IssuerOfPatientID": "Elsewhere"}, "PRIOR_UNPROVEN", "issuer"),
        ({"PatientBirthDate": ""}, "PRIOR_UNPROVEN", "no birth date"),
    ],
)
def test_nothing_is_compared_unless_it_is_the_same_patient(
    before: Path, tmp_path: Path, attributes: dict[str, Any], flag: str, detail: str
) -> None:
    outcome = analysed(visit(SECOND, *GROWN, **changed(attributes)), tmp_path, before)
    assert outcome.analysis is not None and outcome.analysis.comparison is None
    (raised,) = outcome.analysis.flags
    assert raised.code == flag and detail in raised.detail
    assert outcome.document["flags"] == [flag] and raised.warning in outcome.document["warnings"]


def test_another_patient_id_is_a_contradiction_too(before: Path, tmp_path: Path) -> None:
    outcome = analysed(visit(SECOND, *GROWN, **changed({"PatientID": "PHANTOM2"})), tmp_path, before)
    assert outcome.document["flags"] == ["PRIOR_CONTRADICTS"]


def test_an_issuer_on_both_sides_vouches_for_the_id(tmp_path: Path) -> None:
    issuer = {"IssuerOfPatientID": "Elsewhere", "PatientBirthDate": "", "PatientAge": "060Y"}
    analysed(visit(FIRST, nodule(RIGHT, 4.0), **changed(issuer)), tmp_path / "a")
    outcome = analysed(visit(SECOND, *GROWN, **changed(issuer)), tmp_path / "b", tmp_path / "a")
    assert finding(outcome, Match.MATCHED).now == "NODULE_1"


@pytest.mark.parametrize("day", [FIRST, "20240430", "20350601"])
def test_only_a_ct_of_an_earlier_day_and_not_too_old_is_compared_with(before: Path, tmp_path: Path, day: str) -> None:
    outcome = analysed(visit(day, *GROWN, **MOVED), tmp_path, before)
    assert outcome.analysis is not None
    assert outcome.analysis.comparison is None and outcome.analysis.flags == ()


def test_a_ct_that_does_not_tell_its_acquisition_is_of_the_day_of_its_study(before: Path, tmp_path: Path) -> None:
    untold: dict[str, str | None] = dict.fromkeys(("AcquisitionDate", "AcquisitionTime"))
    found = analysed(visit(SECOND, attributes=untold), tmp_path, before).document["comparison"]
    assert found["days"] == DAYS
    neither = untold | dict.fromkeys(("StudyDate", "StudyTime"))
    assert "comparison" not in analysed(visit(SECOND, attributes=neither), tmp_path / "2", before).document


def test_never_with_another_series_of_the_same_study(before: Path, tmp_path: Path) -> None:
    study = str(dcmread(before / "study.sr.dcm").StudyInstanceUID)
    outcome = analysed(visit(SECOND, *GROWN, **changed({"StudyInstanceUID": study})), tmp_path, before)
    assert outcome.analysis is not None and outcome.analysis.comparison is None


class Later(Nodules):
    """The same, of another version."""

    version = "2.0"


class Other(Nodules):
    """Another pipeline, which finds the same."""

    name = "other-nodules"


class Together(Nodules):
    """The second nodule stands for many, which are told together."""

    comparison = replace(
        Nodules.comparison, findings=replace(Nodules.comparison.findings, together=frozenset({"NODULE_2"}))
    )


class WithoutRules(Nodules):
    """A pipeline of somebody who knows nothing of comparisons."""

    comparison = ComparisonRules()


def test_another_version_is_compared_and_said(before: Path, tmp_path: Path) -> None:
    found = comparison_of(analysed(visit(SECOND, *GROWN, **MOVED), tmp_path, before, Later()))
    assert "Another version of the pipeline: 1.0 then, 2.0 now." in found.remarks


def test_another_pipeline_is_not_compared(before: Path, tmp_path: Path) -> None:
    outcome = analysed(visit(SECOND, *GROWN, **MOVED), tmp_path, before, Other())
    assert outcome.analysis is not None and outcome.analysis.comparison is None


def test_findings_that_are_told_together_are_not_matched_nor_is_what_lies_among_them_new(
    before: Path, tmp_path: Path
) -> None:
    """NODULE_2 of before lies in the left lung, where now the largest one is."""
    outcome = analysed(visit(SECOND, nodule(LEFT, 8.0), nodule(RIGHT, 1.0), **MOVED), tmp_path, before, Together())
    found = {one.now or one.then: one.match for one in comparison_of(outcome).findings}
    assert found == {"NODULE_1": Match.TOGETHER}
    assert outcome.analysis is not None and comparison_of(outcome).findings[-1].match is Match.TOGETHER


def test_without_rules_the_earlier_result_is_named_alone(before: Path, tmp_path: Path) -> None:
    found = comparison_of(analysed(visit(SECOND, *GROWN, **MOVED), tmp_path, before, WithoutRules()))
    assert (found.numbers, found.findings, found.overlap) == ((), (), None)
    assert found.headline == "Nodules: 2, of the phantom"


def test_no_nodule_then_or_none_now(before: Path, tmp_path: Path) -> None:
    none_now = analysed(visit(SECOND), tmp_path / "none", before)
    assert [one.match for one in comparison_of(none_now).findings] == [Match.GONE, Match.GONE]
    some_later = analysed(visit("20260501", nodule(RIGHT, 4.0)), tmp_path / "some", tmp_path / "none")
    assert [one.match for one in comparison_of(some_later).findings] == [Match.NEW]
    none_again = analysed(visit("20260501"), tmp_path / "again", tmp_path / "none")
    assert comparison_of(none_again).overlap is None, "nothing to register for"


def test_findings_of_a_result_without_its_segmentation_are_not_called_gone(before: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(before, copy)
    (copy / "nodules.seg.dcm").unlink()
    found = comparison_of(analysed(visit(SECOND, *GROWN), tmp_path / "after", copy))
    assert {one.match for one in found.findings} == {Match.UNKNOWN} and len(found.findings) == 4
    assert any("no Segmentation" in remark for remark in found.remarks) and found.numbers[0].change is not None


def test_where_the_lungs_cannot_be_registered_no_finding_is_matched(
    before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.imaging.registration.LEAST_OVERLAP", 1.01)
    found = comparison_of(analysed(visit(SECOND, *GROWN, **MOVED), tmp_path, before))
    assert {one.match for one in found.findings} == {Match.UNKNOWN} and len(found.findings) == 4
    assert found.numbers[0].change is not None, "what needs no position is compared all the same"


def no_result(folder: Path) -> None:
    (folder / "result.json").write_text("{")


def older_version(folder: Path) -> None:
    document = json.loads((folder / "result.json").read_text())
    del document["acquisition"]
    (folder / "result.json").write_text(json.dumps(document))


def another_product(folder: Path) -> None:
    dataset = dcmread(folder / "nodules.seg.dcm")
    dataset.Manufacturer = "Somebody else"
    dataset.save_as(folder / "nodules.seg.dcm")


def of_another_study(folder: Path) -> None:
    dataset = dcmread(folder / "lobes.seg.dcm")
    dataset.StudyInstanceUID = "1.2.3"
    dataset.save_as(folder / "lobes.seg.dcm")


def no_numbers(folder: Path) -> None:
    document = json.loads((folder / "result.json").read_text())
    document["measurements"] = None
    (folder / "result.json").write_text(json.dumps(document))


def not_finite(folder: Path) -> None:
    text = (folder / "result.json").read_text()
    (folder / "result.json").write_text(text.replace('"volume_ml": 3', '"volume_ml": NaN, "x": 3', 1))


def without_report(folder: Path) -> None:
    (folder / "study.sr.dcm").unlink()


def cut_off(folder: Path) -> None:
    path = folder / "nodules.seg.dcm"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "harm",
    [no_result, older_version, another_product, of_another_study, no_numbers, not_finite, without_report, cut_off],
)
def test_an_earlier_result_that_is_not_ours_or_damaged_is_named_and_harms_nothing(
    before: Path, tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in before.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    harm(copy)
    outcome = analysed(visit(SECOND, *GROWN, **MOVED), tmp_path / "after", copy)
    assert outcome.analysis is not None and outcome.analysis.comparison is None
    assert outcome.document["flags"] == ["PRIOR_UNREADABLE"]


def test_a_failure_of_the_comparison_is_told_and_the_result_is_there(
    before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("service.analysis.match_findings.match", broken)
    outcome = analysed(visit(SECOND, *GROWN, **MOVED), tmp_path, before)
    assert outcome.document["flags"] == ["COMPARISON_FAILED"] and outcome.analysis is not None
