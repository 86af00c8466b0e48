"""Models that do not fit the roles are refused in words."""

from dataclasses import replace
from typing import Any

import pytest
from helpers import tiny_models

from service.domain.model_roles import mistakes
from service.domain.model_spec import ModelSpec, TensorSpec
from service.pipelines import MODEL_ROLES
from service.pipelines.covid_triage.rank import rank

LESION, INFECTION = tiny_models.TRIAGE_LESION, tiny_models.TRIAGE_INFECTION
_AXES = LESION.inputs[0].axes


def of_size(spec: ModelSpec, *dims: int) -> ModelSpec:
    taken = tuple(replace(tensor, dims=dims) for tensor in spec.inputs)
    given = tuple(
        replace(tensor, dims=(*tensor.dims[: len(tensor.dims) - 3], *dims)) if len(tensor.dims) > 1 else tensor
        for tensor in spec.outputs
    )
    return replace(spec, inputs=taken, outputs=given)


@pytest.mark.parametrize(
    "spec",
    [
        LESION,
        of_size(LESION, 64, 128, 128),
        of_size(LESION, 128, 256, 256),
        replace(LESION, spacing_mm=1.0, slice_mm=2.5, window_hu=(-1024, 350), measured={"normal_percent": 0.3}),
        INFECTION,
        of_size(INFECTION, 48, 96, 96),
    ],
)
def test_models_of_any_size_fit(spec: ModelSpec) -> None:
    assert mistakes(spec, MODEL_ROLES) == []


@pytest.mark.parametrize(
    ("spec", "change", "said"),
    [
        (LESION, {"layout": "plane-grid"}, "layout: triage-lesion is fed as patches, not as plane-grid"),
        (LESION, {"thresholds": {}}, "thresholds: triage-lesion has one for lesion"),
        (LESION, {"thresholds": {"lesion": 1.0}}, "thresholds: triage-lesion has one for lesion, between 0 and 1"),
        (LESION, {"spacing_mm": 0.8}, "its grid is 1 mm and 2.5 mm"),
        (LESION, {"slice_mm": 1.0}, "its grid is 1 mm and 2.5 mm"),
        (LESION, {"measured": {"normal_percent": 101.0}}, "normal_percent lies between 0 and 100"),
        (LESION, {"noise_floor": {"opacity_ml": 1.0, "opacity_percent": 1.0}}, "noise_floor: triage-lesion has none"),
        (LESION, {"inputs": ()}, "inputs: patches gives int16"),
        (LESION, {"inputs": of_size(LESION, 8, 64, 64).inputs}, "at least 16 of each"),
        (LESION, {"outputs": of_size(LESION, 32, 64, 32).outputs}, "probability is uint8 of dims [1, 32, 64, 64]"),
        (
            LESION,
            {"outputs": (TensorSpec("probability", "uint8", (1, *tiny_models.PATCH), ("opacity", *_AXES)),)},
            'the first of the axes is "lesion"',
        ),
        (INFECTION, {"layout": "patches"}, "layout: triage-infection is fed as lesion-region"),
        (INFECTION, {"inputs": INFECTION.inputs[:1]}, "inputs: triage-infection has hu, mask, not hu"),
        (
            INFECTION,
            {"inputs": (INFECTION.inputs[0], replace(INFECTION.inputs[1], dims=(1, 2, 3)))},
            "mask is uint8 of dims [16, 24, 24]",
        ),
        (
            INFECTION,
            {"outputs": (replace(INFECTION.outputs[0], axes=("a, b, c",)), INFECTION.outputs[1])},
            'the first of the axes of probabilities is "COVID-19, other pulmonary infection, no infection"',
        ),
        (INFECTION, {"outputs": INFECTION.outputs[1:]}, "outputs: triage-infection has probabilities, heat_map"),
    ],
)
def test_what_does_not_fit_is_told(spec: ModelSpec, change: dict[str, Any], said: str) -> None:
    found = mistakes(replace(spec, **change), MODEL_ROLES)
    assert any(said in one for one in found), found


def test_the_rank_grows_with_the_burden_and_an_infection_probability_can_only_raise_it() -> None:
    assert rank(0.3, 50.0) == rank(None, 50.0) > 0.9
    assert rank(0.3, 0.5) == 0.3
    by_burden = [rank(None, percent) for percent in (0.0, 0.1, 1.0, 5.0, 25.0, 100.0)]
    assert by_burden == sorted(set(by_burden)) and by_burden[0] == 0.0 and by_burden[-1] < 1.0
    assert rank(None, 5.0) == 0.5
