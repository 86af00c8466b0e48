"""Two analyses of one CT, label by label: Dice, volumes and scores, and never a number that is none."""

import json
from dataclasses import replace

import evidence_samples
import make_ct
import numpy as np
import pytest

from service.domain.analysis import Analysis
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.imaging.difference import HIGH_OPACITY, LUNGS, OPACITY, difference
from service.pipelines.covid_severity.opacities import Opacity


@pytest.fixture(scope="module")
def sample() -> tuple[CT, Analysis]:
    return evidence_samples.phantom(findings=make_ct.FINDINGS)


def analysis(ct: CT, lobe_mask: np.ndarray, finding_mask: np.ndarray) -> Analysis:
    return evidence_samples.analysis_of(ct, lobe_mask, finding_mask)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b)))


def test_an_analysis_does_not_differ_from_itself(sample: tuple[CT, Analysis]) -> None:
    _, found = sample
    same = difference(found, found)
    assert same.worst_dice == 1.0
    assert same.score_change == 0
    assert same.same_scores
    assert same.labels[LUNGS].differing_ml == 0.0
    assert same.labels[OPACITY].reference_ml == found.lungs["total"].opacity_ml


def test_dice_and_volumes_are_those_of_the_masks(sample: tuple[CT, Analysis]) -> None:
    ct, found = sample
    lobes, findings = found.lobe_mask.copy(), found.finding_mask.copy()
    middle = lobes.shape[2] // 2
    lobes[:, :, middle:][lobes[:, :, middle:] == Lobe.LUL] = Lobe.LLL
    findings[: len(findings) // 2] = 0
    findings[findings == Opacity.GROUND_GLASS] = Opacity.HIGH_OPACITY
    changed = difference(found, analysis(ct, lobes, findings))
    assert changed.labels[LUNGS].dice == 1.0
    assert changed.labels["LLL"].dice == pytest.approx(dice(found.lobe_mask == Lobe.LLL, lobes == Lobe.LLL))
    assert changed.labels["LUL"].dice < 1.0
    assert changed.labels["left lung"].dice == changed.labels["RUL"].dice == 1.0
    for name, kinds in ((OPACITY, list(Opacity)), (HIGH_OPACITY, [Opacity.HIGH_OPACITY])):
        before, after = np.isin(found.finding_mask, kinds), np.isin(findings, kinds)
        label = changed.labels[name]
        assert label.dice == pytest.approx(dice(before, after))
        assert label.reference_ml == pytest.approx(np.count_nonzero(before) * ct.voxel_ml)
        assert label.candidate_ml == pytest.approx(np.count_nonzero(after) * ct.voxel_ml)
        assert label.differing_ml == pytest.approx(np.count_nonzero(before ^ after) * ct.voxel_ml)
    assert changed.worst_dice == min(label.dice for label in changed.labels.values())


def test_what_both_lack_is_the_same_and_what_one_lacks_agrees_in_nothing(sample: tuple[CT, Analysis]) -> None:
    ct, found = sample
    clear = analysis(ct, found.lobe_mask, np.zeros_like(found.finding_mask))
    assert difference(clear, clear).labels[OPACITY].dice == 1.0
    assert difference(found, clear).labels[OPACITY].dice == difference(clear, found).labels[OPACITY].dice == 0.0
    without = found.lobe_mask.copy()
    without[without == Lobe.RML] = Lobe.RUL
    gone = difference(found, analysis(ct, without, found.finding_mask))
    assert gone.labels["RML"].dice == 0.0
    assert gone.lobe_scores["RML"][1] is None
    assert gone.score_change is None
    assert not gone.same_scores


def test_scores_are_compared_in_total_and_by_lobe(sample: tuple[CT, Analysis]) -> None:
    _, found = sample
    assert found.severity.total is not None
    scores = dict(found.severity.lobe_scores)
    scores["RUL"], scores["LLL"] = 5, 0
    total = sum(score or 0 for score in scores.values())
    other = replace(found, severity=replace(found.severity, lobe_scores=scores, total=total))
    changed = difference(found, other)
    assert changed.score_change == total - found.severity.total
    assert changed.lobe_scores["RUL"] == (found.severity.lobe_scores["RUL"], 5)
    moved = replace(other, severity=replace(other.severity, total=found.severity.total))
    assert difference(found, moved).score_change == 0
    assert not difference(found, moved).same_scores, "points may move from lobe to lobe"


def test_the_document_is_json_without_nan(sample: tuple[CT, Analysis]) -> None:
    ct, found = sample
    nothing = analysis(ct, np.zeros_like(found.lobe_mask), np.zeros_like(found.finding_mask))
    for pair in ((found, nothing), (nothing, nothing), (nothing, found)):
        document = difference(*pair).as_document()
        json.dumps(document, allow_nan=False)
        assert set(document["labels"]) == {
            *("lungs", "right lung", "left lung", "RUL", "RML", "RLL", "LUL", "LLL", "opacity", "high opacity")
        }
    assert difference(found, nothing).as_document()["worst_dice"] == 0.0


def test_analyses_of_two_cts_are_not_compared(sample: tuple[CT, Analysis]) -> None:
    _, found = sample
    shorter = replace(found, lobe_mask=found.lobe_mask[1:], finding_mask=found.finding_mask[1:])
    with pytest.raises(ValueError, match="not of one CT"):
        difference(found, shorter)
