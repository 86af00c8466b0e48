"""result.json obeys its published schema, analysed or refused."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import evidence_samples
import jsonschema
import make_ct
import pytest

from service.domain.analysis import ModelUse
from service.errors import Flag, Reason, Refusal
from service.evidence.result import SeriesRefusal, result_document
from service.pipelines.covid_severity.measure import Region
from service.pipelines.covid_severity.score import severity

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/reference/result.schema.json").read_text())


REFUSED: dict[str, Any] = {
    "pipeline": "covid-severity",
    "series_uid": None,
    "analysis": None,
    "analysed_at": evidence_samples.ANALYSED_AT,
}


def valid(document: dict[str, Any]) -> dict[str, Any]:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    again = json.loads(json.dumps(document))
    jsonschema.validate(again, SCHEMA)
    return again


def analysed(**changes: Any) -> dict[str, Any]:
    ct, analysis = evidence_samples.phantom(findings=make_ct.FINDINGS)
    return result_document(
        pipeline="covid-severity",
        series_uid=ct.series_uid,
        analysis=dataclasses.replace(analysis, **changes),
        flags=(Flag.LOSSY, Flag.NO_CLASSIFIER),
        analysed_at=evidence_samples.ANALYSED_AT,
        timings_s={"read": 1.23456},
    )


def test_analysed() -> None:
    document = valid(analysed())
    assert document["status"] == "analysed" and document["reasons"] == [] and document["probabilities"] is None
    assert document["severity"] == {
        "name": "CT severity score, Pan 2020, 0-25",
        "score": 5,
        "max": 25,
        "category": "mild",
        "involvement": "mild",
        "noise_floor": {"opacity_ml": 5.0, "opacity_percent": 0.7},
        "without_noise_floor": {"score": 5, "category": "mild"},
        "doubts": [],
    }
    assert (document["number"], document["analysed_at"]) == (1, "2024-05-01T14:05:30+00:00")
    assert document["flags"] == ["LOSSY", "NO_CLASSIFIER", "LOBES_APPROXIMATE"]
    assert document["warnings"] == [Flag(code).sentence for code in document["flags"]]
    assert document["timings_s"] == {"read": 1.235}
    assert document["agreement"] == {"lungs": 0.99, "opacities": 0.85}
    lobes = document["lobes"]
    assert sum(lobe["volume_ml"] for lobe in lobes.values()) == pytest.approx(
        document["lungs"]["total"]["volume_ml"], abs=0.3
    )
    assert lobes["LLL"]["high_opacity_ml"] == pytest.approx(40.0, rel=0.02) and lobes["LLL"]["score"] == 2


def test_opacity_of_normal_lungs_keeps_its_published_score() -> None:
    lobes = {**dict.fromkeys(("RUL", "RLL", "LUL", "LLL"), Region(800, 0, 0, None)), "RML": Region(284, 2.55, 0, None)}
    found = severity(lobes, evidence_samples.FLOOR)
    document = valid(analysed(severity=found, flags=(Flag.TRACE_OPACITY, Flag.LOW_AGREEMENT)))
    assert document["severity"]["score"] == 0 and document["severity"]["category"] == "none"
    assert document["severity"]["involvement"] == "none: within what is found in normal lungs"
    assert document["severity"]["without_noise_floor"] == {"score": 1, "category": "mild"}
    assert document["severity"]["doubts"] == ["mirrored images disagree"]
    assert (document["lobes"]["RML"]["score"], document["lobes"]["RML"]["score_without_noise_floor"]) == (0, 1)


def test_missing_lobe_and_probabilities() -> None:
    lobes = {**dict.fromkeys(("RUL", "RLL", "LUL", "LLL"), Region(1000.0, 10.0, 0.0, None)), "RML": None}
    document = valid(analysed(severity=severity(lobes, None), probabilities={"a": 0.25, "b": 0.75}))
    assert document["severity"]["score"] is None and document["severity"]["category"] is None
    assert document["lobes"]["RML"]["score"] is None and document["probabilities"] == {"a": 0.25, "b": 0.75}


def test_refused() -> None:
    refusals = [
        SeriesRefusal("1.2.3", Refusal(Reason.TOO_THICK, "8.0 mm, limit 5 mm")),
        SeriesRefusal("1.2.4", Refusal(Reason.LOCALIZER, "")),
    ]
    document = valid(result_document(**REFUSED, refusals=refusals))
    assert document["status"] == "refused"
    assert document["reasons"][0] == {
        "series_uid": "1.2.3",
        "reason": "TOO_THICK",
        "sentence": "The slices are too thick for this analysis.",
        "detail": "8.0 mm, limit 5 mm",
    }
    assert document["lungs"] is document["lobes"] is document["severity"] is None and document["models"] == []
    assert document["flags"] == document["warnings"] == []


def test_a_refusal_names_the_models_that_were_asked_before() -> None:
    refusals, asked = [SeriesRefusal("1.2.3", Refusal(Reason.NO_LUNG, ""))], [ModelUse("lungs", "2", "a" * 64)]
    document = result_document(**REFUSED, refusals=refusals, asked=asked)
    assert valid(document)["models"] == [{"name": "lungs", "version": "2", "sha256": "a" * 64}]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "refused"),
        ("schema_version", "2.0"),
        ("lobes", None),
        ("models", []),
        ("extra", 1),
        ("agreement", {}),
    ],
)
def test_the_schema_notices_a_wrong_document(path: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        valid(analysed() | {path: value})


def test_every_flag_and_reason_is_allowed_by_the_schema() -> None:
    refusals = [SeriesRefusal("1.2", Refusal(reason, "")) for reason in Reason]
    valid(result_document(**REFUSED, refusals=refusals))
    valid(analysed(flags=tuple(Flag)))
