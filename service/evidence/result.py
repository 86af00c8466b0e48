"""result.json: what the command line writes for machines. Its schema is docs/reference/result.schema.json.

Numbers are rounded as in the structured and the printed report (`domain.rounding`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.domain.analysis import (
    Analysis,
    Classification,
    Headline,
    HeatMap,
    Measurement,
    MeasurementGroup,
    ModelUse,
)
from service.domain.contradictions import LINE_SUFFIX
from service.domain.prior import Acquisition
from service.domain.rounding import ratio, rounded
from service.errors import Refusal
from service.evidence.result_comparison import comparison_document

SCHEMA_VERSION = "2.1"


@dataclass(frozen=True, slots=True)
class SeriesRefusal:
    """One reason why one series was not analysed."""

    series_uid: str
    refusal: Refusal


def result_document(
    *,
    pipeline: str,
    series_uid: str | None,
    analysis: Analysis | None,
    refusals: Sequence[SeriesRefusal] = (),
    passed_over: Sequence[str] = (),
    asked: Sequence[ModelUse] = (),
    number: int = 1,
    analysed_at: datetime,
    timings_s: Mapping[str, float] | None = None,
    acquisition: Acquisition | None = None,
) -> dict[str, Any]:
    """The document, ready for `json.dumps`.

    analysis None: refused, and `refusals` says why; other series of an analysed study may be refused too.
    series_uid: the analysed series, None if there is none. passed_over: sentences about better series, which were
    refused. asked: models that answered before all was refused; an analysis tells its own.
    number, analysed_at: of the result, as in `EvidenceContext`. acquisition: of the analysed CT, for a comparison with
    a later one; None where nothing was analysed, or the CT does not say when it was acquired.
    """
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "pipeline": pipeline,
        "pipeline_version": None if analysis is None else analysis.pipeline.version,
        "number": number,
        "analysed_at": analysed_at.isoformat(timespec="seconds"),
        "series_uid": series_uid,
        "status": "refused" if analysis is None else "analysed",
        "reasons": [_reason(r) for r in refusals],
    }
    numbers = _EMPTY | {"models": _models(asked)} if analysis is None else _numbers(analysis, passed_over)
    if acquisition is not None:
        numbers |= {"acquisition": acquisition_document(acquisition)}
    return document | numbers | {"timings_s": {stage: round(s, 3) for stage, s in (timings_s or {}).items()}}


_EMPTY: dict[str, Any] = {
    "flags": [],
    "warnings": [],
    "headline": None,
    "measurements": None,
    "classification": None,
    "uncertainty": None,
}


def _reason(refused: SeriesRefusal) -> dict[str, str]:
    reason = refused.refusal.reason
    return {
        "series_uid": refused.series_uid,
        "reason": reason.value,
        "sentence": reason.sentence,
        "detail": refused.refusal.detail,
    }


def _numbers(analysis: Analysis, passed_over: Sequence[str]) -> dict[str, Any]:
    return {
        "flags": [flag.code for flag in analysis.flags],
        "warnings": [*(flag.warning for flag in analysis.flags), *passed_over, *_of_classification(analysis)],
        "headline": headline_document(analysis.headline) | {"doubts": list(analysis.doubts)},
        "measurements": {group.name: _group(group) for group in analysis.groups},
        "classification": _classification(analysis.classification),
        "uncertainty": _measurements(analysis.uncertainty),
        "models": _models(analysis.models),
    } | dict(_where_there_is_some(analysis))


def acquisition_document(acquisition: Acquisition) -> dict[str, Any]:
    """The object `acquisition`, ready for JSON. acquired_at: local time of the scanner, without a zone."""
    return {
        "acquired_at": acquisition.acquired_at.isoformat(timespec="seconds"),
        "scanner": acquisition.scanner,
        "kernel": acquisition.kernel,
        "thickness_mm": acquisition.thickness_mm,
        "has_contrast": acquisition.has_contrast,
    }


def _of_classification(analysis: Analysis) -> tuple[str, ...]:
    return () if analysis.classification is None else analysis.classification.warnings


def _where_there_is_some(analysis: Analysis) -> Iterator[tuple[str, Any]]:
    """What only some pipelines tell."""
    found = analysis.classification
    if found is not None and (found.decision is not None or found.experimental):
        decision = None if found.decision is None else found.decision.meaning
        yield "decision", {"class": decision, "experimental": found.experimental}
    if analysis.rank is not None:
        yield "rank", ratio(analysis.rank)
    if analysis.comparison is not None:
        yield "comparison", comparison_document(analysis.comparison)
    if analysis.explanations:
        yield "explanations", [_explanation(one) for one in analysis.explanations]


def _explanation(heat_map: HeatMap) -> dict[str, str]:
    return {"name": heat_map.name, "title": heat_map.title, "explains": heat_map.explains}


def headline_document(headline: Headline) -> dict[str, Any]:
    """A headline, ready for JSON. value: rounded; whole numbers without a decimal point."""
    value = None if headline.value is None else rounded(headline.value, headline.unit)
    return {
        "name": headline.name,
        "value": value,
        "max": None if headline.maximum is None else rounded(headline.maximum, headline.unit),
        "unit": headline.unit.value,
        "category": headline.category,
        "words": headline.words,
        "remark": headline.remark,
    }


def _group(group: MeasurementGroup) -> dict[str, Any]:
    """Measurements by name; the name says the unit. Evaluations: meanings by the meaning of what was judged.

    Lines: points in LPS mm, by the name of their measurement and `LINE_SUFFIX`.
    """
    lines = {
        f"{one.name}{LINE_SUFFIX}": [[round(float(coordinate), 2) for coordinate in point] for point in one.line]
        for one in group.measurements
        if one.line
    }
    judged = {one.concept.meaning: one.value.meaning for one in group.evaluations}
    return _measurements(group.measurements) | lines | judged


def _measurements(measurements: Sequence[Measurement]) -> dict[str, Any]:
    return {one.name: rounded(one.value, one.unit) for one in measurements}


def _classification(found: Classification | None) -> dict[str, float] | None:
    """Probability by class; None where there is no validated model."""
    if found is None or not found.probabilities:
        return None
    return {one.title: ratio(one.value) for one in found.probabilities}


def _models(models: Sequence[ModelUse]) -> list[dict[str, str]]:
    """Each as it is written in result.json; a provider only where it is not the CPU of the service."""
    return [
        {"name": one.name, "version": one.version, "sha256": one.sha256}
        | ({"runs_on": one.runs_on} if one.runs_on else {})
        for one in models
    ]
