"""The comparison with an earlier CT in result.json."""

from typing import Any

from service.domain.comparison import Change, Comparison, FindingChange
from service.domain.rounding import ratio


def comparison_document(found: Comparison) -> dict[str, Any]:
    """The object `comparison`, ready for JSON."""
    return {
        "study_uid": found.study_uid,
        "series_uid": found.series_uid,
        "acquired_at": found.acquired.isoformat(timespec="seconds"),
        "days": found.days,
        "result": found.result,
        "headline": found.headline,
        "objects": [
            {"kind": one.kind, "sop_class_uid": one.sop_class_uid, "sop_instance_uid": one.sop_instance_uid}
            for one in found.objects
        ],
        "numbers": [_change(one) for one in found.numbers],
        "findings": [_finding(one) for one in found.findings],
        "lung_overlap": None if found.overlap is None else ratio(found.overlap),
        "remarks": list(found.remarks),
    }


def _change(one: Change) -> dict[str, Any]:
    """why_not: "" where the change is told."""
    return {
        "group": one.group,
        "measurement": one.measurement,
        "unit": one.unit.value,
        "then": one.then,
        "now": one.now,
        "change": one.change,
        "change_percent": one.percent,
        "change_per_year": one.per_year,
        "why_not": one.why_not,
    }


def _finding(one: FindingChange) -> dict[str, Any]:
    return {
        "match": one.match.value,
        "now": one.now,
        "then": one.then,
        "numbers": [_change(number) for number in one.numbers],
        "has_grown": one.has_grown,
        "doubling_days": one.doubling_days,
    }
