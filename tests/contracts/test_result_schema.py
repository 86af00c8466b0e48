"""The schema of result.json takes any pipeline's result, and refuses one that cannot be."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from helpers import evidence_samples, make_ct

from service.analysis.analyst import Run, not_taken
from service.domain import codes
from service.domain.analysis import (
    Analysis,
    Classification,
    ClassProbability,
    Headline,
    HeatMap,
    Measurement,
    MeasurementGroup,
    PipelineUse,
    Site,
)
from service.evidence.result import result_document
from service.store.dicom_folder import SeriesFiles

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/reference/result.schema.json").read_text(encoding="utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

NODULES = Analysis(
    pipeline=PipelineUse("nodules", "0.1", 20000),
    label_maps=(),
    voxel_ml=0.001,
    groups=(
        MeasurementGroup(
            "NODULE_1",
            codes.LUNG,
            Site(codes.LUNG),
            (Measurement("volume_ml", codes.VOLUME, 0.26, codes.MILLILITRE),),
        ),
    ),
    headline=Headline("Largest nodule", None, codes.MILLILITRE, words="no nodule was found"),
    models=(),
    flags=(),
)


def document(pipeline: str, analysis: Analysis) -> dict[str, Any]:
    made = result_document(
        pipeline=pipeline, series_uid="1.2", analysis=analysis, analysed_at=evidence_samples.ANALYSED_AT
    )
    again: dict[str, Any] = json.loads(json.dumps(made))
    return again


@pytest.fixture(scope="module")
def severity() -> dict[str, Any]:
    """A valid result of covid-severity."""
    made = document("covid-severity", evidence_samples.phantom(findings=make_ct.FINDINGS)[1])
    VALIDATOR.validate(made)
    return made


def changed(found: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy; path: keys with dots between them, the last one is set, or taken out where the value is `...`."""
    copy: dict[str, Any] = json.loads(json.dumps(found))
    *way, last = path.split(".")
    place = copy
    for key in way:
        place = place[key]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("schema_version", "1.4"),
        ("pipeline_version", None),
        ("status", "done"),
        ("status", "refused"),
        ("mood", "good"),
        ("flags", ["Lossy"]),
        ("models", []),
        ("uncertainty", None),
        ("uncertainty.agreement_two", 1.5),
        ("headline", None),
        ("headline.value", 26),
        ("headline.value", 3.5),
        ("headline.value", "3"),
        ("headline.max", 40),
        ("headline.name", "CO-RADS"),
        ("headline.category", "dire"),
        ("headline.doubts", ...),
        ("measurements", None),
        ("measurements.RML", ...),
        ("measurements.LUNG_TOTAL.opacity_percent", ...),
        ("measurements.LUNG_TOTAL.opacity_percent", 101),
        ("measurements.LUNG_TOTAL.volume_ml", -1),
        ("measurements.LUNG_TOTAL.volume_ml", "much"),
        ("measurements.RML.score", 6),
        ("measurements.RML.score", 1.5),
        ("measurements.SEVERITY.score", 26),
        ("measurements.SEVERITY.noise_floor_percent", 5),
        ("measurements.SEVERITY.noise_floor_ml", ...),
        ("measurements.SEVERITY.score_without_noise_floor", ...),
        ("classification", {"only one": 1.0}),
        ("classification", {"a": 1.5, "b": 0.5}),
    ],
)
def test_what_cannot_be_is_refused(severity: dict[str, Any], path: str, value: object) -> None:
    assert not VALIDATOR.is_valid(changed(severity, path, value))


def test_a_pipeline_that_nobody_has_heard_of_needs_no_other_schema() -> None:
    made = document("nodules", NODULES)
    VALIDATOR.validate(made)
    assert made["headline"]["value"] is None and made["headline"]["max"] is None
    assert made["measurements"] == {"NODULE_1": {"volume_ml": 0.3}}
    assert not VALIDATOR.is_valid(made | {"pipeline": "covid-severity"}), "that one has a score and five lobes"


def test_lines_and_heat_maps_are_told_where_there_are_some() -> None:
    line = ((0.0, 0.0, -10.0), (12.345, 0.0, -10.0))
    axis = Measurement("axis_mm", codes.private("AXIS", "Long axis"), 12.345, codes.MILLIMETRE, line=line)
    heat = HeatMap("heat", "What counted", "NODULE_1", np.ones((1, 1, 1), np.uint8))
    groups = tuple(replace(one, measurements=(*one.measurements, axis)) for one in NODULES.groups)
    made = document("nodules", replace(NODULES, groups=groups, explanations=(heat,)))
    VALIDATOR.validate(made)
    axis_line = [[0.0, 0.0, -10.0], [12.35, 0.0, -10.0]]
    assert made["measurements"]["NODULE_1"] == {"volume_ml": 0.3, "axis_mm": 12.3, "axis_mm_line": axis_line}
    assert made["explanations"] == [{"name": "heat", "title": "What counted", "explains": "NODULE_1"}]
    assert not VALIDATOR.is_valid(changed(made, "measurements.NODULE_1.axis_mm_line", 12.3))
    assert not VALIDATOR.is_valid(changed(made, "measurements.NODULE_1.axis_mm_line", axis_line[:1]))
    assert not VALIDATOR.is_valid(changed(made, "measurements.NODULE_1.axis_mm", axis_line))
    assert not VALIDATOR.is_valid(changed(made, "explanations", []))


def test_a_decision_is_told_and_that_it_is_experimental() -> None:
    solid = codes.private("SOLID", "solid")
    classes = tuple(ClassProbability(codes.class_probability(one), one, 0.5) for one in ("solid", "other"))
    found = Classification("TYPE", codes.LUNG, codes.CLASSIFICATION, classes)
    assert "decision" not in document("nodules", replace(NODULES, classification=found))
    made = document("nodules", replace(NODULES, classification=replace(found, decision=solid, experimental=True)))
    VALIDATOR.validate(made)
    assert made["decision"] == {"class": "solid", "experimental": True}
    assert made["warnings"] == ["Classification: experimental, not validated on patients of other hospitals."]
    assert made["classification"] == {"solid": 0.5, "other": 0.5}
    assert not VALIDATOR.is_valid(changed(made, "decision.experimental", ...))


def test_a_refusal_holds_no_number(severity: dict[str, Any]) -> None:
    refused = result_document(
        pipeline="nodules", series_uid=None, analysis=None, analysed_at=evidence_samples.ANALYSED_AT
    )
    refused["reasons"] = [{"series_uid": "1.2", "reason": "TILT", "sentence": "Tilted.", "detail": ""}]
    VALIDATOR.validate(refused)
    for key in ("headline", "measurements", "uncertainty", "pipeline_version"):
        assert not VALIDATOR.is_valid(refused | {key: severity[key]}), key
    assert not VALIDATOR.is_valid(refused | {"reasons": []})
    assert not VALIDATOR.is_valid(refused | {"decision": {"class": None, "experimental": True}})
    assert not VALIDATOR.is_valid(refused | {"explanations": [{"name": "a", "title": "A", "explains": "B"}]})


def test_it_takes_the_refusal_of_a_study_that_no_pipeline_takes() -> None:
    made = not_taken([SeriesFiles("1.2", "1.2.3", ())], Run(evidence_samples.ANALYSED_AT)).document
    VALIDATOR.validate(json.loads(json.dumps(made)))
    assert (made["pipeline"], [one["reason"] for one in made["reasons"]]) == ("", ["NO_PIPELINE"])
