"""A result against an earlier one: by name, by version, and against the pipeline's own rules."""

from dataclasses import replace
from datetime import datetime

import pytest
from helpers.headlines import severity

from service.domain import codes
from service.domain.analysis import Analysis, Evaluation, Measurement, MeasurementGroup, ModelUse, PipelineUse, Site
from service.domain.compare import NOT_COMPARABLE, Matches, comparison
from service.domain.comparison import Change, Comparison, Match
from service.domain.flags import LUNG_AT_EDGE, LUNG_DROPPED
from service.domain.pipeline import Compared, ComparedFindings, ComparisonRules
from service.domain.prior import Acquisition, Patient, PriorResult
from service.domain.unplaced_findings import unplaced

BARRED = codes.private("DENSITY-COMP", "Comparability of the density")
NOT = codes.private("NOT-COMP", "Not comparable")
RULES = ComparisonRules(
    (
        Compared("LUNGS", "volume_ml", "Volume", codes.MILLILITRE),
        Compared("LUNGS", "mean_hu", "Density", codes.HOUNSFIELD, BARRED.meaning),
        Compared("ABSENT", "score", "Score", codes.SCORE),
    )
)
THEN, NOW = (
    Acquisition(datetime(2024, 5, 1, 23, 50), kernel="B40f"),
    Acquisition(datetime(2025, 5, 1, 0, 10), kernel="B40f"),
)
MODEL = ModelUse("lungs", "1", "a" * 64)
PRIOR = PriorResult(
    patient=Patient("1", "", "", "", ""),
    study_uid="1.2",
    series_uid="1.2.3",
    pipeline="p",
    version="1.0",
    number=2,
    models=(MODEL,),
    acquisition=THEN,
    headline="Score: 3",
    doubts=(),
    measurements={"LUNGS": {"volume_ml": 4000.0, "mean_hu": -850.0}},
    judged={"LUNGS": {}},
    objects=(),
    segments={},
)


def result(*evaluations: Evaluation, mean_hu: float | None = -840.4, **changes: object) -> Analysis:
    measured = [Measurement("volume_ml", codes.VOLUME, 4321.04, codes.MILLILITRE)]
    if mean_hu is not None:
        measured.append(Measurement("mean_hu", codes.ATTENUATION, mean_hu, codes.HOUNSFIELD, derivation=codes.MEAN))
    group = MeasurementGroup("LUNGS", codes.LUNG, Site(codes.LUNG), tuple(measured), evaluations)
    made = Analysis(PipelineUse("p", "1.0", 9000), (), 1.0, (group,), severity(3), (MODEL,), ())
    return replace(made, **changes)  # type: ignore[arg-type]


def compared(analysis: Analysis, prior: PriorResult = PRIOR, now: Acquisition = NOW) -> Comparison:
    return comparison(prior, analysis, now, RULES, Matches())


def density(found: Comparison) -> Change:
    return next(one for one in found.numbers if one.measurement == "mean_hu")


def test_numbers_are_compared_by_name_and_as_they_are_told() -> None:
    found = compared(result())
    assert [(n.measurement, n.then, n.now, n.change) for n in found.numbers] == [
        ("volume_ml", 4000.0, 4321.0, 321.0),
        ("mean_hu", -850.0, -840.0, 10.0),
    ], "what neither result tells is left out"
    assert (found.title, found.result) == ("Compared with 2024-05-01 (365 days earlier)", "p 1.0, v2")
    assert found.remarks == ()


def test_what_the_pipeline_calls_not_comparable_now_or_then_has_no_change() -> None:
    said = Evaluation(BARRED, NOT)
    then = replace(PRIOR, judged={"LUNGS": {BARRED.meaning: NOT.meaning}})
    for found in (compared(result(said)), compared(result(), then)):
        assert density(found).change is None and density(found).why_not == NOT_COMPARABLE
        assert found.numbers[0].change == 321.0


def test_a_headline_that_a_reviewer_has_overridden_has_no_change() -> None:
    headline, other = RULES.numbers[:2]
    rules = ComparisonRules((replace(headline, is_headline=True), other))
    prior = replace(PRIOR, overridden="overridden by a reviewer: 12")
    first, second = comparison(prior, result(), NOW, rules, Matches()).numbers
    assert (first.then, first.change, first.why_not) == (4000.0, None, "overridden by a reviewer: 12")
    assert second.change == 10.0


def test_what_is_withheld_now_or_then_is_told_once() -> None:
    assert density(compared(result(mean_hu=None))).why_not == "not told now"
    before = replace(PRIOR, measurements={"LUNGS": {"volume_ml": 4000.0}})
    withheld = density(compared(result(), before))
    assert (withheld.then, withheld.now, withheld.change, withheld.why_not) == (None, -840.0, None, "not told then")


@pytest.mark.parametrize(
    ("prior", "analysis", "remark"),
    [
        (replace(PRIOR, version="0.9"), result(), "Another version of the pipeline: 0.9 then, 1.0 now."),
        (replace(PRIOR, models=(replace(MODEL, version="0"),)), result(), "Model lungs: version 0 then, 1 now."),
        (
            replace(PRIOR, models=(replace(MODEL, sha256="b" * 64),)),
            result(),
            "Model lungs: other weights of version 1 now than then.",
        ),
        (replace(PRIOR, models=()), result(), "Model lungs: not used then, used now."),
        (replace(PRIOR, doubts=("thick slices",)), result(), "The earlier result is doubtful: thick slices."),
        (
            PRIOR,
            result(flags=(LUNG_AT_EDGE, LUNG_DROPPED)),
            "The result of now is doubtful: incomplete lungs.",
        ),
        (replace(PRIOR, acquisition=replace(THEN, kernel="B70f")), result(), "Kernel: B70f then, B40f now."),
    ],
)
def test_what_makes_two_results_unlike_is_said(prior: PriorResult, analysis: Analysis, remark: str) -> None:
    assert compared(analysis, prior).remarks == (remark,)


def test_a_rule_with_another_unit_than_the_measurement_is_a_mistake() -> None:
    rules = ComparisonRules((Compared("LUNGS", "volume_ml", "Volume", codes.PERCENT),))
    with pytest.raises(ValueError, match="is compared in %"):
        comparison(PRIOR, result(), NOW, rules, Matches())


@pytest.mark.parametrize(("overlap", "told"), [(0.92, True), (0.93, False), (None, False)])
def test_lungs_that_breathing_has_changed_are_said_to_be(overlap: float | None, told: bool) -> None:
    found = comparison(PRIOR, result(), NOW, RULES, Matches(overlap=overlap))
    assert [one for one in found.remarks if one.startswith("The lungs overlap by 92 % only")] == list(found.remarks)
    assert bool(found.remarks) is told


NODULES = ComparedFindings("nodules", (Compared("", "volume_ml", "Volume", codes.MILLILITRE),))
WITH_NODULES = replace(
    PRIOR, measurements=PRIOR.measurements | {"N1": {"volume_ml": 1.0}}, segments={"nodules": frozenset({"N1"})}
)


def test_what_the_other_ct_does_not_show_is_not_gone() -> None:
    rules = ComparisonRules(findings=NODULES)
    for matches, match in ((Matches(), Match.GONE), (Matches(outside_then=frozenset({"N1"})), Match.OUTSIDE)):
        assert [one.match for one in comparison(WITH_NODULES, result(), NOW, rules, matches).findings] == [match]


def test_findings_without_a_segmentation_are_known_by_their_groups() -> None:
    assert unplaced(NODULES, WITH_NODULES, result()) == (), "nor are the lungs a finding"
    assert unplaced(NODULES, replace(WITH_NODULES, segments={}), result()) == ("N1",)
