"""result.json obeys its published schema, analysed or refused."""

import dataclasses
import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from helpers import evidence_samples, make_ct

from service.domain.analysis import Analysis, ModelUse
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.flags import LOSSY, LUNG_AT_EDGE
from service.errors import Reason, Refusal
from service.evidence.result import SeriesRefusal, result_document
from service.pipelines.covid_severity.flags import (
    FLAGS,
    LOBES_APPROXIMATE,
    NO_CLASSIFIER,
    NO_NOISE_FLOOR,
    TRACE_OPACITY,
)
from service.pipelines.covid_severity.score import severity
from service.pipelines.shared.flags import NOT_RELIABLE
from service.pipelines.shared.measure import Region

SCHEMA = json.loads((Path(__file__).parents[3] / "docs/reference/result.schema.json").read_text())


FOUND = (LOSSY, NO_CLASSIFIER, LOBES_APPROXIMATE)
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


@cache
def sample() -> tuple[CT, Analysis]:
    return evidence_samples.phantom(findings=make_ct.FINDINGS)


def analysed(measured: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """measured, changes: other than in the phantom, of what was measured and of the analysis."""
    ct, analysis = sample()
    analysis = evidence_samples.remeasured(ct, analysis, **(measured or {})) if measured else analysis
    return result_document(
        pipeline="covid-severity",
        series_uid=ct.series_uid,
        analysis=dataclasses.replace(analysis, **{"flags": FOUND, **changes}),
        analysed_at=evidence_samples.ANALYSED_AT,
        timings_s={"read": 1.23456},
    )


def test_analysed() -> None:
    document = valid(analysed())
    assert (document["schema_version"], document["status"], document["reasons"]) == ("2.1", "analysed", [])
    assert (document["pipeline"], document["pipeline_version"]) == ("covid-severity", "1.0")
    assert document["classification"] is None
    assert document["headline"] == {
        "name": "CT severity score, Pan 2020, 0-25",
        "value": 5,
        "max": 25,
        "unit": "{score}",
        "category": "mild",
        "words": "involvement: mild",
        "remark": "5 without noise floor",
        "doubts": [],
    }
    assert (document["number"], document["analysed_at"]) == (1, "2024-05-01T14:05:30+00:00")
    assert document["flags"] == ["LOSSY", "NO_CLASSIFIER", "LOBES_APPROXIMATE"]
    assert document["warnings"] == [flag.sentence for flag in FOUND]
    assert document["timings_s"] == {"read": 1.235}
    assert document["uncertainty"] == {
        "agreement_two": 0.99,
        "clear_lung_hu": -850,
        "gradient_hu": 21,
        "dome_percent": 40.0,
    }
    found = document["measurements"]
    assert list(found) == [
        *("SEVERITY", "LUNG_RIGHT", "LUNG_LEFT", "LUNG_TOTAL", "TOTAL_GROUND_GLASS", "TOTAL_HIGH_OPACITY"),
        *("RUL", "RML", "RLL", "LUL", "LLL", "GROUND_GLASS", "HIGH_OPACITY"),
    ]
    assert found["SEVERITY"] == {
        "score": 5,
        "score_without_noise_floor": 5,
        "noise_floor_ml": 5.0,
        "noise_floor_percent": 0.7,
        "Involvement by CT severity score, Pan 2020, with noise floor": "Mild",
    }
    lobes = [found[lobe.name] for lobe in Lobe]
    assert sum(lobe["volume_ml"] for lobe in lobes) == pytest.approx(found["LUNG_TOTAL"]["volume_ml"], abs=0.3)
    assert found["LLL"]["high_opacity_ml"] == pytest.approx(40.0, rel=0.02) and found["LLL"]["score"] == 2
    assert isinstance(found["LLL"]["score"], int) and isinstance(found["LLL"]["mean_hu"], int)


def test_a_warning_tells_the_values_that_raised_it() -> None:
    detail = "Of the left lung's surface to the back, 3.1% lies at the edge of the images."
    document = valid(analysed(flags=(LUNG_AT_EDGE.because(detail), LOSSY)))
    assert document["flags"] == ["LUNG_AT_EDGE", "LOSSY"]
    assert document["warnings"] == [f"{LUNG_AT_EDGE.sentence} {detail}", LOSSY.sentence]
    assert document["headline"]["doubts"] == ["incomplete lungs"]


def test_opacity_of_normal_lungs_keeps_its_published_score() -> None:
    lobes = {**dict.fromkeys(("RUL", "RLL", "LUL", "LLL"), Region(800, 0, 0, None)), "RML": Region(284, 2.55, 0, None)}
    found = severity(lobes, evidence_samples.FLOOR)
    document = valid(analysed({"severity": found}, flags=(TRACE_OPACITY, NO_NOISE_FLOOR)))
    headline, measurements = document["headline"], document["measurements"]
    assert (headline["value"], headline["category"]) == (0, "none")
    assert headline["words"] == "involvement: none: within what is found in normal lungs"
    assert headline["remark"] == "1 without noise floor"
    assert headline["doubts"] == ["noise is scored, too"]
    for group in ("SEVERITY", "RML"):
        assert (measurements[group]["score"], measurements[group]["score_without_noise_floor"]) == (0, 1)


def test_missing_lobe_and_probabilities() -> None:
    lobes = {**dict.fromkeys(("RUL", "RLL", "LUL", "LLL"), Region(1000.0, 10.0, 0.0, None)), "RML": None}
    document = valid(analysed({"severity": severity(lobes, None), "probabilities": {"a": 0.25, "b": 0.75}}))
    headline, measurements = document["headline"], document["measurements"]
    assert (headline["value"], headline["max"], headline["category"]) == (None, 25, None)
    assert headline["words"] == "no total score, a lobe was not found"
    assert measurements["SEVERITY"] == {}
    assert "score" not in measurements["RML"] and "score_without_noise_floor" not in measurements["RML"]
    assert measurements["RUL"]["score_without_noise_floor"] == 1
    assert document["classification"] == {"a": 0.25, "b": 0.75}


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
    for absent in ("headline", "measurements", "classification", "uncertainty", "pipeline_version"):
        assert document[absent] is None, absent
    assert document["models"] == []
    assert document["flags"] == document["warnings"] == []


def test_a_refusal_names_the_models_that_were_asked_before() -> None:
    refusals, asked = [SeriesRefusal("1.2.3", Refusal(Reason.NO_LUNG, ""))], [ModelUse("lungs", "2", "a" * 64)]
    document = result_document(**REFUSED, refusals=refusals, asked=asked)
    assert valid(document)["models"] == [{"name": "lungs", "version": "2", "sha256": "a" * 64}]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "refused"),
        ("schema_version", "1.4"),
        ("headline", None),
        ("headline", {}),
        ("measurements", None),
        ("measurements", {"RUL": {"volume_ml": None}}),
        ("uncertainty", {"agreement_two": "0.99"}),
        ("classification", {"COVID-19": 1.5}),
        ("pipeline_version", None),
        ("models", []),
        ("extra", 1),
    ],
)
def test_the_schema_notices_a_wrong_document(path: str, value: Any) -> None:
    with pytest.raises(jsonschema.ValidationError):
        valid(analysed() | {path: value})


def test_every_flag_and_reason_is_allowed_by_the_schema() -> None:
    refusals = [SeriesRefusal("1.2", Refusal(reason, "")) for reason in Reason]
    valid(result_document(**REFUSED, refusals=refusals))
    valid(analysed(flags=tuple(flag for flag in FLAGS if flag != NOT_RELIABLE)))
    ct, analysis = sample()
    ill = severity(dict.fromkeys((lobe.name for lobe in Lobe), Region(800.0, 700.0, 0.0, None)), evidence_samples.FLOOR)
    withheld = evidence_samples.remeasured(ct, dataclasses.replace(analysis, flags=FLAGS), severity=ill)
    assert withheld.urgent, "a severe case in which nothing is clear stays urgent"
    document = result_document(
        pipeline="covid-severity",
        series_uid=ct.series_uid,
        analysis=withheld,
        analysed_at=evidence_samples.ANALYSED_AT,
    )
    assert valid(document)["headline"]["value"] is None
