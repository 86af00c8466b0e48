"""The comparison with an earlier CT, and codes, as the seed of UIDs has them (`evidence.seed`)."""

from typing import Any

from pydicom.sr.coding import Code

from service.domain.comparison import Change, Comparison


def coded(code: Code | None) -> list[str | None] | None:
    """A code as the seed has it."""
    return None if code is None else [code.value, code.scheme_designator, code.meaning, code.scheme_version]


def comparison_record(found: Comparison) -> dict[str, Any]:
    """All that a comparison tells, ready for JSON."""
    return {
        "earlier": [found.study_uid, found.series_uid, found.acquired.isoformat(), found.days],
        "result": [found.result, found.headline],
        "numbers": [_change(one) for one in found.numbers],
        "findings": [
            [one.title, one.match.value, one.now, one.then, [_change(number) for number in one.numbers]]
            for one in found.findings
        ],
        "overlap": found.overlap,
        "remarks": list(found.remarks),
        "objects": [[one.kind, one.sop_class_uid, one.sop_instance_uid, one.series_uid] for one in found.objects],
    }


def _change(one: Change) -> list[Any]:
    codes = [coded(code) for code in (one.unit, one.concept, one.derivation)]
    return [one.group, one.measurement, one.title, *codes, one.then, one.now, one.days, one.why_not]
