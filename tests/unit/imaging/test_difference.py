"""Two analyses of one CT, label by label: Dice, volumes and scores, and never a number that is none."""

import json
from dataclasses import replace

import numpy as np
import pytest
from helpers import evidence_samples, make_ct
from helpers.evidence_samples import masks

from service.domain import codes
from service.domain.analysis import Analysis, LabelMap
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.imaging.difference import difference
from service.pipelines.shared.opacities import Opacity

LUNGS, OPACITY, HIGH_OPACITY = "lobes", "findings", "HIGH_OPACITY"


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
    assert same.headline_change == 0
    assert same.same_scores
    assert same.labels[LUNGS].differing_ml == 0.0
    assert same.labels[LUNGS].reference_ml == pytest.approx(found.group("LUNG_TOTAL")["volume_ml"])
    assert same.labels[OPACITY].reference_ml == pytest.approx(found.group("LUNG_TOTAL")["opacity_ml"])


def test_dice_and_volumes_are_those_of_the_masks(sample: tuple[CT, Analysis]) -> None:
    ct, found = sample
    found_lobes, found_findings = masks(found)
    lobes, findings = found_lobes.copy(), found_findings.copy()
    middle = lobes.shape[2] // 2
    lobes[:, :, middle:][lobes[:, :, middle:] == Lobe.LUL] = Lobe.LLL
    findings[: len(findings) // 2] = 0
    findings[findings == Opacity.GROUND_GLASS] = Opacity.HIGH_OPACITY
    changed = difference(found, analysis(ct, lobes, findings))
    for lobe in (Lobe.LLL, Lobe.LUL):
        before, after = found_lobes == lobe, lobes == lobe
        assert dice(before, after) < 1.0
        assert changed.labels[lobe.name].dice == pytest.approx(dice(before, after))
    assert changed.labels["RUL"].dice == changed.labels["RML"].dice == changed.labels["RLL"].dice == 1.0
    for name, kinds in ((OPACITY, list(Opacity)), (HIGH_OPACITY, [Opacity.HIGH_OPACITY])):
        before, after = np.isin(found_findings, kinds), np.isin(findings, kinds)
        label = changed.labels[name]
        assert label.reference_ml == pytest.approx(np.count_nonzero(before) * ct.voxel_ml)
        assert label.candidate_ml == pytest.approx(np.count_nonzero(after) * ct.voxel_ml)
        assert label.dice == pytest.approx(dice(before, after))
        assert label.differing_ml == pytest.approx(np.count_nonzero(before ^ after) * ct.voxel_ml)
    assert changed.worst_dice == min(label.dice for label in changed.labels.values())


def test_a_label_map_as_a_whole_is_one_label_whatever_its_segments_are(sample: tuple[CT, Analysis]) -> None:
    ct, found = sample
    lobes, findings = masks(found)
    moved = lobes.copy()
    moved[moved == Lobe.LUL] = Lobe.LLL
    whole = difference(found, analysis(ct, moved, findings)).labels[LUNGS]
    assert (whole.dice, whole.differing_ml) == (1.0, 0.0)
    cut = lobes.copy()
    cut[cut == Lobe.LUL] = 0
    whole = difference(found, analysis(ct, cut, findings)).labels[LUNGS]
    assert whole.dice == pytest.approx(dice(lobes > 0, cut > 0))
    assert whole.differing_ml == pytest.approx(np.count_nonzero(lobes == Lobe.LUL) * ct.voxel_ml)


def test_what_both_lack_is_the_same_and_what_one_lacks_agrees_in_nothing(sample: tuple[CT, Analysis]) -> None:
    ct, found = sample
    lobes, findings = masks(found)
    clear = analysis(ct, lobes, np.zeros_like(findings))
    assert difference(clear, clear).labels[OPACITY].dice == 1.0
    assert difference(found, clear).labels[OPACITY].dice == difference(clear, found).labels[OPACITY].dice == 0.0
    without = lobes.copy()
    without[without == Lobe.RML] = Lobe.RUL
    gone = difference(found, analysis(ct, without, findings))
    assert gone.labels["RML"].dice == 0.0
    assert gone.scores["RML.score"] == (0, None)
    assert gone.headline == (found.headline.value, None)
    assert gone.headline_change is None
    assert not gone.same_scores


def test_the_headline_is_compared_and_every_score_in_its_group(sample: tuple[CT, Analysis]) -> None:
    ct, found = sample
    severity = evidence_samples.measured_of(ct, *masks(found)).severity
    assert severity.total is not None
    scores = dict(severity.lobe_scores)
    scores["RUL"], scores["LLL"] = 5, 0
    total = sum(score or 0 for score in scores.values())
    other = evidence_samples.remeasured(ct, found, severity=replace(severity, lobe_scores=scores, total=total))
    changed = difference(found, other)
    assert changed.headline_name == "CT severity score, Pan 2020, 0-25"
    assert changed.headline == (severity.total, total)
    assert changed.headline_change == total - severity.total
    assert changed.scores["SEVERITY.score"] == (severity.total, total)
    assert changed.scores["RUL.score"] == (severity.lobe_scores["RUL"], 5)
    assert changed.drift["severity_score"] == (severity.total, total)
    moved = evidence_samples.remeasured(ct, found, severity=replace(severity, lobe_scores=scores))
    assert difference(found, moved).headline_change == 0
    assert not difference(found, moved).same_scores, "points may move from lobe to lobe"


def test_only_numbers_on_a_scale_are_scores(sample: tuple[CT, Analysis]) -> None:
    """A volume differs in its last digit from back end to back end, a score does not."""
    _, found = sample
    names = {
        f"{group.name}.{one.name}" for group in found.groups for one in group.measurements if one.unit == codes.SCORE
    }
    assert set(difference(found, found).scores) == names
    assert names == {
        f"{group}.{name}"
        for group in ("SEVERITY", *Lobe.__members__)
        for name in ("score", "score_without_noise_floor")
    }


def test_what_is_watched_over_many_studies_is_told_of_both(sample: tuple[CT, Analysis]) -> None:
    ct, found = sample
    lobes, findings = masks(found)
    clear = analysis(ct, lobes, np.zeros_like(findings))
    told = difference(found, clear).drift
    assert told == {
        "severity_score": (5, 0),
        "opacity_percent": (pytest.approx(found.group("LUNG_TOTAL")["opacity_percent"]), 0.0),
    }
    without = lobes.copy()
    without[without == Lobe.RML] = 0
    assert difference(found, analysis(ct, without, findings)).drift["severity_score"] == (5, None)


def test_the_document_is_json_without_nan(sample: tuple[CT, Analysis]) -> None:
    ct, found = sample
    nothing = analysis(ct, *(np.zeros_like(mask) for mask in masks(found)))
    for pair in ((found, nothing), (nothing, nothing), (nothing, found)):
        document = difference(*pair).as_document()
        json.dumps(document, allow_nan=False)
        assert set(document["labels"]) == {
            *("lobes", "RUL", "RML", "RLL", "LUL", "LLL", "findings", "GROUND_GLASS", "HIGH_OPACITY")
        }
    document = difference(found, nothing).as_document()
    assert document["worst_dice"] == 0.0
    assert document["headline"] == {"reference": 5, "candidate": None} and document["headline_change"] is None


def test_analyses_of_two_cts_are_not_compared(sample: tuple[CT, Analysis]) -> None:
    _, found = sample
    shorter = replace(found, label_maps=tuple(replace(one, labels=one.labels[1:]) for one in found.label_maps))
    with pytest.raises(ValueError, match="not of one CT"):
        difference(found, shorter)


def test_analyses_of_two_pipelines_are_not_compared(sample: tuple[CT, Analysis]) -> None:
    _, found = sample
    other = replace(found, pipeline=replace(found.pipeline, name="emphysema"))
    with pytest.raises(ValueError, match="results of covid-severity and emphysema are not compared"):
        difference(found, other)


def test_a_label_map_or_segment_that_one_lacks_agrees_in_nothing(sample: tuple[CT, Analysis]) -> None:
    """A model may find no tumour where the other finds one: then there is no label map of it."""
    _, found = sample
    lobes, findings = found.label_maps
    one = LabelMap(findings.kind, findings.labels, findings.segments)
    kept = tuple(group for group in found.groups if group.segment not in {"GROUND_GLASS", "HIGH_OPACITY"})
    without = replace(found, label_maps=(lobes,), groups=kept)
    for before, after in ((found, without), (without, found)):
        changed = difference(before, after)
        assert changed.worst_dice == changed.labels[OPACITY].dice == changed.labels[HIGH_OPACITY].dice == 0.0
        assert changed.labels[LUNGS].dice == 1.0
        volumes = changed.labels[OPACITY].reference_ml, changed.labels[OPACITY].candidate_ml
        assert sorted(volumes) == [0.0, pytest.approx(found.group("LUNG_TOTAL")["opacity_ml"])]
    high = np.where(one.labels == Opacity.HIGH_OPACITY, one.labels, np.uint8(0))
    first = [segment for segment in one.segments if segment.name == HIGH_OPACITY]
    fewer = replace(found, label_maps=(lobes, LabelMap(one.kind, high, tuple(first))), groups=kept)
    for before, after in ((fewer, replace(found, groups=kept)), (replace(found, groups=kept), fewer)):
        changed = difference(before, after)
        assert changed.labels["GROUND_GLASS"].dice == 0.0 and changed.labels[HIGH_OPACITY].dice == 1.0
