"""result.json: what the command line writes for machines. Its schema is docs/reference/result.schema.json.

Numbers are rounded as in the structured and the printed report (`domain.rounding`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from service.domain import rounding, severity
from service.domain.findings import Analysis, Lobe, ModelUse, Region
from service.domain.severity import Severity
from service.errors import Flag, Refusal, doubts

SCHEMA_VERSION = "1.4"


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
    flags: Sequence[Flag] = (),
    passed_over: Sequence[str] = (),
    asked: Sequence[ModelUse] = (),
    number: int = 1,
    analysed_at: datetime,
    timings_s: Mapping[str, float] | None = None,
) -> dict[str, Any]:
    """The document, ready for `json.dumps`.

    analysis None: refused, and `refusals` says why; other series of an analysed study may be refused too.
    series_uid: the analysed series, None if there is none. flags: quality warnings of reading the CT.
    passed_over: sentences about better series, which were refused.
    asked: models that answered before all was refused; an analysis tells its own.
    number, analysed_at: of the result, as in `EvidenceContext`.
    """
    document: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "pipeline": pipeline,
        "number": number,
        "analysed_at": analysed_at.isoformat(timespec="seconds"),
        "series_uid": series_uid,
        "status": "refused" if analysis is None else "analysed",
        "reasons": [_reason(r) for r in refusals],
    }
    numbers = _EMPTY | {"models": _models(asked)} if analysis is None else _numbers(analysis, flags, passed_over)
    return document | numbers | {"timings_s": {stage: round(s, 3) for stage, s in (timings_s or {}).items()}}


_EMPTY: dict[str, Any] = {
    "flags": [],
    "warnings": [],
    "lungs": None,
    "lobes": None,
    "severity": None,
    "probabilities": None,
    "agreement": None,
}


def _reason(refused: SeriesRefusal) -> dict[str, str]:
    reason = refused.refusal.reason
    return {
        "series_uid": refused.series_uid,
        "reason": reason.value,
        "sentence": reason.sentence,
        "detail": refused.refusal.detail,
    }


def _numbers(analysis: Analysis, flags: Sequence[Flag], passed_over: Sequence[str]) -> dict[str, Any]:
    each_once = tuple(dict.fromkeys((*flags, *analysis.flags)))
    return {
        "flags": [flag.value for flag in each_once],
        "warnings": [*(flag.sentence for flag in each_once), *passed_over],
        "lungs": {side: _region(analysis.lungs[side]) for side in ("left", "right", "total")},
        "lobes": {lobe.name: _lobe(analysis, lobe) for lobe in Lobe},
        "severity": _severity(analysis.severity, each_once),
        "probabilities": _probabilities(analysis),
        "agreement": _agreement(analysis),
        "models": _models(analysis.models),
    }


def _severity(found: Severity, flags: Sequence[Flag]) -> dict[str, Any]:
    return {
        "name": severity.NAME,
        "score": found.total,
        "max": severity.MAX,
        "category": found.category,
        "involvement": found.involvement,
        "noise_floor": None if found.floor is None else asdict(found.floor),
        "without_noise_floor": {"score": found.without_floor.total, "category": found.without_floor.category},
        "doubts": list(doubts(flags)),
    }


def _models(models: Sequence[ModelUse]) -> list[dict[str, str]]:
    return [{"name": one.name, "version": one.version, "sha256": one.sha256} for one in models]


def _region(region: Region) -> dict[str, Any]:
    return {
        "volume_ml": rounding.millilitres(region.volume_ml),
        "opacity_ml": rounding.millilitres(region.opacity_ml),
        "opacity_percent": rounding.percent(region.opacity_percent),
    }


def _lobe(analysis: Analysis, lobe: Lobe) -> dict[str, Any]:
    region = analysis.lobes[lobe]
    return {
        **_region(region),
        "ggo_ml": rounding.millilitres(region.ggo_ml),
        "high_opacity_ml": rounding.millilitres(region.high_opacity_ml),
        "score": analysis.severity.lobe_scores[lobe.name],
        "score_without_noise_floor": analysis.severity.without_floor.lobe_scores[lobe.name],
    }


def _probabilities(analysis: Analysis) -> dict[str, float] | None:
    if analysis.probabilities is None:
        return None
    return {name: rounding.ratio(p) for name, p in analysis.probabilities.items()}


def _agreement(analysis: Analysis) -> dict[str, float] | None:
    if analysis.agreement is None:
        return None
    agreement = analysis.agreement
    return {"lungs": rounding.ratio(agreement.lungs), "opacities": rounding.ratio(agreement.opacities)}
