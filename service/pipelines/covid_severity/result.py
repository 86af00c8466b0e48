"""Converts the measurements to the neutral result: coded groups, headline and summary."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydicom.sr.coding import Code

from service.domain import codes
from service.domain.analysis import (
    Analysis,
    Classification,
    ClassProbability,
    Evaluation,
    Headline,
    LabelArray,
    Measurement,
    MeasurementGroup,
    ModelUse,
    PipelineUse,
)
from service.domain.anatomy import Lobe
from service.domain.flags import Flag
from service.pipelines.covid_severity import codes as own
from service.pipelines.covid_severity import score
from service.pipelines.covid_severity.score import Severity, withheld
from service.pipelines.shared import lobe_segments, opacity_groups, opacity_segments
from service.pipelines.shared.flags import NOT_RELIABLE
from service.pipelines.shared.measure import Measurements
from service.pipelines.shared.reliability import Reliability
from service.pipelines.shared.reliability_measurements import measurements, why_not


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Everything that was found. lobe_mask (`Lobe`), opacity_mask (`Opacity`): axes (slice, row, column) of the CT.

    probabilities: of classes by name; None without a validated classifier.
    """

    lobe_mask: LabelArray
    opacity_mask: LabelArray
    voxel_ml: float
    regions: Measurements
    severity: Severity
    reliability: Reliability
    probabilities: Mapping[str, float] | None = None


def to_analysis(found: Measured, pipeline: PipelineUse, models: Sequence[ModelUse], flags: Sequence[Flag]) -> Analysis:
    """Returns the neutral result, the type that every pipeline returns. Of one that cannot be relied on there are
    volumes, but no score and no percentage; it is as urgent as if there were."""
    given = NOT_RELIABLE not in flags
    severity = found.severity if given else withheld(found.severity.floor)
    drift = {"opacity_percent": found.regions.lungs["total"].opacity_percent} if given else {}
    if severity.total is not None:
        drift["severity_score"] = float(severity.total)
    return Analysis(
        pipeline=pipeline,
        label_maps=(
            lobe_segments.label_map(found.lobe_mask),
            opacity_segments.label_map(found.opacity_mask),
        ),
        voxel_ml=found.voxel_ml,
        groups=tuple(_groups(found, severity, given)),
        headline=_headline(severity, flags),
        models=tuple(models),
        flags=tuple(flags),
        classification=_classification(found.probabilities),
        uncertainty=tuple(measurements(found.reliability)),
        limitations=(opacity_segments.NOT_TOLD_APART,),
        summary=tuple(opacity_groups.summary(found.regions, given)),
        urgent=found.severity.category == "severe",
        drift=drift,
    )


def _groups(found: Measured, severity: Severity, given: bool) -> Iterator[MeasurementGroup]:
    totals, involvement = tuple(_totals(severity)), tuple(_involvement(severity))
    yield MeasurementGroup("SEVERITY", codes.LUNG, opacity_groups.LUNG, totals, involvement)
    yield from opacity_groups.lungs_and_kinds(found.regions, given)
    for lobe in Lobe:
        yield opacity_groups.lobe(found.regions, lobe, tuple(_lobe_scores(severity, lobe)), given)
    yield from opacity_groups.kinds(found.regions, given)


def _totals(severity: Severity) -> Iterator[Measurement]:
    """The reported score first. The code of the published rule keeps its meaning: it never has a floor."""
    published = severity.without_floor.total
    if severity.total is not None and severity.floor is not None:
        yield _score("score", own.TOTAL_SCORE_FLOOR, severity.total)
    if published is not None:
        yield _score("score_without_noise_floor", own.TOTAL_SCORE, published)
    if severity.floor is not None:
        yield Measurement("noise_floor_ml", own.FLOOR_VOLUME, severity.floor.opacity_ml, codes.MILLILITRE)
        yield Measurement("noise_floor_percent", own.FLOOR_PERCENT, severity.floor.opacity_percent, codes.PERCENT)


def _involvement(severity: Severity) -> Iterator[Evaluation]:
    if severity.category is None:
        return
    concept = own.INVOLVEMENT if severity.floor is None else own.INVOLVEMENT_FLOOR
    category = own.WITHIN_NORMAL_LUNGS if severity.within_normal else own.CATEGORIES[severity.category]
    yield Evaluation(concept, category)


def _lobe_scores(severity: Severity, lobe: Lobe) -> Iterator[Measurement]:
    reported, published = (of.lobe_scores[lobe.name] for of in (severity, severity.without_floor))
    if reported is not None and severity.floor is not None:
        yield _score("score", own.LOBE_SCORE_FLOOR, reported)
    if published is not None:
        yield _score("score_without_noise_floor", own.LOBE_SCORE, published)


def _score(name: str, concept: Code, value: int) -> Measurement:
    return Measurement(name, concept, float(value), codes.SCORE)


def _classification(probabilities: Mapping[str, float] | None) -> Classification:
    """One neutral group; a group "Finding = COVID-19" with a low probability would read as a diagnosis."""
    classes = tuple(
        ClassProbability(codes.class_probability(name), name, value) for name, value in (probabilities or {}).items()
    )
    absent = codes.NO_CLASSIFIER if probabilities is None else None
    return Classification("CLASSIFICATION", own.IMAGING_PATTERN, codes.CLASSIFICATION, classes, absent)


def _headline(severity: Severity, flags: Sequence[Flag]) -> Headline:
    if NOT_RELIABLE in flags:
        return Headline(score.NAME, None, codes.SCORE, score.MAX, words=why_not(flags))
    published = severity.without_floor.total
    remark = "no noise floor" if severity.floor is None else f"{published} without noise floor"
    if severity.total is None:
        words = "no total score, a lobe was not found"
        return Headline(score.NAME, None, codes.SCORE, score.MAX, words=words)
    words = f"involvement: {severity.involvement}"
    return Headline(score.NAME, severity.total, codes.SCORE, score.MAX, severity.category, words, remark)
