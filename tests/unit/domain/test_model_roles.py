"""A model fits its role or is told why not, for tensors of any number, type and rank."""

from dataclasses import replace
from typing import Any

import pytest

from service.domain.model_roles import Role, Shape, Tensors, mistakes
from service.domain.model_spec import ModelSpec, TensorSpec

PATCH = TensorSpec("patch", "float32", (1, 16, 48, 48), ("channel", "slice", "row", "column"))
SPACING = TensorSpec("spacing", "float64", (3,), ("mm",))
MASK = TensorSpec("mask", "bool", (16, 48, 48), ("slice", "row", "column"))
SPEC = ModelSpec("tumour", "1", (PATCH, SPACING), (MASK,), 1)
ROLE = Role(
    "tumour",
    "the primary tumour",
    Tensors(
        {"patch": Shape("float32", (1, None, None, None)), "spacing": Shape("float64", (3,))},
        {"mask": Shape("bool", (None, None, None))},
    ),
)
ROLES = {ROLE.name: ROLE}


def test_a_model_with_the_tensors_of_its_role_fits() -> None:
    assert mistakes(SPEC, ROLES) == []
    larger = replace(PATCH, dims=(1, 32, 96, 96)), SPACING
    assert mistakes(replace(SPEC, inputs=larger), ROLES) == [], "None is any size"
    assert mistakes(replace(SPEC, inputs=(SPACING, PATCH)), ROLES) == [], "tensors go by their names"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "heart"}, "name: 'heart' is no role; there are tumour"),
        ({"inputs": (PATCH,)}, "inputs: tumour has patch, spacing, not patch"),
        ({"inputs": (PATCH, SPACING, SPACING)}, "inputs: tumour has patch, spacing, not patch, spacing, spacing"),
        ({"outputs": (replace(MASK, name="lesion"),)}, "outputs: tumour has mask, not lesion"),
        ({"outputs": (replace(MASK, dtype="uint8"),)}, "outputs: mask is bool of dims [n, n, n]"),
        ({"inputs": (replace(PATCH, dims=(2, 16, 48, 48)), SPACING)}, "patch is float32 of dims [1, n, n, n]"),
        ({"inputs": (replace(PATCH, dims=(1, 48, 48)), SPACING)}, "patch is float32 of dims [1, n, n, n]"),
        ({"max_batch": 0}, "max_batch: at least 1"),
    ],
)
def test_every_mistake_is_named(changes: dict[str, Any], said: str) -> None:
    found = mistakes(replace(SPEC, **changes), ROLES)
    assert any(said in mistake for mistake in found), found
