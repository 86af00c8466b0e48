"""A model's spec survives the way into its ONNX file and back."""

import dataclasses
import json

import pytest

from service.domain.model_spec import ModelSpec, TensorSpec

SPEC = ModelSpec(
    name="lung-opacity",
    version="3",
    inputs=(TensorSpec("hu", "int16", (1, 256, 256), ("channel", "row", "column")),),
    outputs=(TensorSpec("probability", "uint8", (2, 256, 256), ("class", "row", "column")),),
    max_batch=16,
    spacing_mm=1.5,
    window_hu=(-1250, 250),
    thresholds={"lung": 0.5},
    licence="CC0",
)


@pytest.mark.parametrize(
    "spec",
    [
        SPEC,
        dataclasses.replace(SPEC, window_hu=None, spacing_mm=None),
        dataclasses.replace(SPEC, layout="body-crop", source="elsewhere"),
        dataclasses.replace(SPEC, noise_floor={"opacity_ml": 5.0, "opacity_percent": 0.7}),
    ],
)
def test_round_trip(spec: ModelSpec) -> None:
    assert ModelSpec.from_json(spec.to_json(), "abc") == dataclasses.replace(spec, sha256="abc")


def test_the_digest_is_not_embedded() -> None:
    assert dataclasses.replace(SPEC, sha256="abc").to_json() == SPEC.to_json()


def test_younger_fields_stay_out_of_the_file_when_they_say_nothing() -> None:
    assert {"layout", "source", "noise_floor"}.isdisjoint(json.loads(SPEC.to_json()))
    assert json.loads(dataclasses.replace(SPEC, source="elsewhere").to_json())["source"] == "elsewhere"


def test_older_files_are_fed_as_ever() -> None:
    assert SPEC.input_layout == "plane-grid"
    assert dataclasses.replace(SPEC, spacing_mm=None).input_layout == "lung-boxes"
    assert dataclasses.replace(SPEC, layout="body-crop").input_layout == "body-crop"


def test_an_unknown_or_missing_field_is_an_error() -> None:
    fields = json.loads(SPEC.to_json())
    with pytest.raises(TypeError):
        ModelSpec.from_json(json.dumps(fields | {"colour": "red"}), "")
    del fields["outputs"]
    with pytest.raises(KeyError):
        ModelSpec.from_json(json.dumps(fields), "")
