"""A model that would not fit into the pipeline is told so before it is installed, one sentence per mistake."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from helpers import tiny_models

from models.lung_opacity.spec import SPEC as LUNG_OPACITY
from models.opacity_context.spec import SPEC as OPACITY_CONTEXT
from service.domain.model_roles import mistakes
from service.domain.model_spec import ModelSpec, TensorSpec
from service.inference.onnx import OnnxBackend
from service.pipelines import MODEL_ROLES

ROOT = Path(__file__).resolve().parents[4]
LUNGS, LOBES = tiny_models.LUNGS, tiny_models.LOBES
FLOOR = {"opacity_ml": 5.0, "opacity_percent": 0.7}


def with_tensor(spec: ModelSpec, side: str, **changes: Any) -> ModelSpec:
    (tensor,) = getattr(spec, side)
    return replace(spec, **{side: (replace(tensor, **changes),)})


def with_floor(**changes: float) -> ModelSpec:
    return replace(OPACITY_CONTEXT, noise_floor=FLOOR | changes)


def test_the_released_models_and_those_of_the_tests_fit() -> None:
    released = OnnxBackend(ROOT / "triton_repo").specs
    assert [mistakes(spec, MODEL_ROLES) for spec in (*released, LUNGS, LOBES)] == [[]] * (len(released) + 2)
    on_a_plane_grid = replace(LUNGS, layout="plane-grid", spacing_mm=1.5, window_hu=None)
    assert mistakes(on_a_plane_grid, MODEL_ROLES) == []


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        (
            replace(LUNGS, name="heart"),
            "there are lung-opacity, lobes, opacity-context, lungs",
        ),
        (replace(LUNGS, layout="lung-boxes"), "layout: lungs is fed as plane-grid or body-crop, not as lung-boxes"),
        (replace(LUNGS, layout="plane-grid"), "spacing_mm: a plane grid needs"),
        (replace(LUNGS, layout="plane-grid", spacing_mm=-1.5), "spacing_mm: a plane grid needs"),
        (replace(LUNGS, window_hu=None), "window_hu: a body crop is clipped"),
        (replace(LUNGS, window_hu=(600, -1024)), "window_hu: a body crop is clipped"),
        (replace(LUNGS, thresholds={}), "thresholds: lungs has one for each of: lung"),
        (replace(LUNGS, thresholds={"lung": 128.0}), "thresholds: each lies between 0 and 1"),
        (replace(LOBES, thresholds={"RUL": 0.5}), "thresholds: lobes has one for each of: none"),
        (replace(LUNGS, max_batch=0), "max_batch: at least 1"),
        (replace(LUNGS, noise_floor=FLOOR), "noise_floor: it belongs to opacity-context"),
        (replace(LUNG_OPACITY, noise_floor=FLOOR), "noise_floor: it belongs to opacity-context"),
        (replace(LUNGS, slice_mm=2.5), "slice_mm: lungs sees the slices that lung-opacity sees"),
        (replace(LUNG_OPACITY, slice_mm=6.0), "slice_mm: above 0 and at most 5"),
        (replace(OPACITY_CONTEXT, slice_mm=0.0), "slice_mm: above 0 and at most 5"),
        (with_floor(nodule_ml=5.0), "noise_floor: it has opacity_ml and opacity_percent"),
        (with_floor(opacity_ml=0.0), "noise_floor: it lies above 0 mL and between 0 and 5 %"),
        (with_floor(opacity_ml=math.inf), "noise_floor: it lies above 0 mL"),
        (with_floor(opacity_ml=math.nan), "noise_floor: it lies above 0 mL"),
        (with_floor(opacity_percent=0.0), "noise_floor: it lies above 0 mL"),
        (with_floor(opacity_percent=5.0), "noise_floor: it lies above 0 mL and between 0 and 5 %"),
        (replace(LUNGS, inputs=LUNGS.inputs * 2), "inputs, outputs: one of each"),
        (with_tensor(LUNGS, "inputs", dtype="float32"), "inputs: body-crop gives int16 of dims [1, n, n]"),
        (with_tensor(LUNGS, "inputs", dims=(1, 128, 256)), "inputs: body-crop gives int16 of dims [1, n, n]"),
        (with_tensor(LUNGS, "inputs", dims=()), "inputs: body-crop gives int16 of dims [1, n, n]"),
        (with_tensor(LUNGS, "outputs", dims=(2, 128, 128)), "outputs: lungs answers uint8 probabilities"),
        (with_tensor(LUNGS, "outputs", dtype="float32"), "outputs: lungs answers uint8 probabilities"),
        (with_tensor(LOBES, "outputs", axes=("LUL, LLL, RUL, RML, RLL",)), 'first of the axes is "RUL, RML, RLL, LUL,'),
        (with_tensor(LOBES, "outputs", axes=()), 'first of the axes is "RUL, RML, RLL, LUL,'),
    ],
)
def test_every_mistake_is_named(spec: ModelSpec, said: str) -> None:
    assert any(said in mistake for mistake in mistakes(spec, MODEL_ROLES)), mistakes(spec, MODEL_ROLES)


def test_boxes_are_three_dimensional() -> None:
    boxes = replace(LOBES, layout="lung-boxes", inputs=(TensorSpec("lungs", "uint8", (2, 64, 64), ()),))
    assert any("lung-boxes gives uint8 of dims [2, n, n, n]" in mistake for mistake in mistakes(boxes, MODEL_ROLES))
