"""Stacks of slices: what a model is given, and what it is never asked."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from service.domain.model_spec import ModelSpec, TensorSpec
from service.domain.ports import Array
from service.pipelines.shared.model_roles import OPACITY_CONTEXT
from service.pipelines.shared.stacks import infer_stacks

SIZE, ASKED, REACH = 4, 3, 2
SPEC = ModelSpec(
    "opacity-context",
    "1",
    (TensorSpec("hu", "int16", (ASKED + 2 * REACH, SIZE, SIZE), ("slice", "row", "column")),),
    (TensorSpec("p", "uint8", (2, ASKED, SIZE, SIZE), ("lung, opacity", "slice", "row", "column")),),
    1,
    spacing_mm=1.5,
    thresholds={"lung": 0.5, "opacity": 0.5},
    layout="slice-stacks",
)


class Echo:
    """Says of each pixel the number that its HU are, and keeps the stacks that it was given."""

    concurrency = 2

    def __init__(self) -> None:
        self.stacks: list[list[int]] = []

    def infer(self, name: str, inputs: Mapping[str, Array]) -> dict[str, Array]:
        hu = inputs["hu"]
        assert name == SPEC.name and hu.shape == (1, ASKED + 2 * REACH, SIZE, SIZE) and hu.dtype == np.int16
        self.stacks.append(hu[0, :, 0, 0].tolist())
        return {"p": np.stack([hu[:, REACH:-REACH].astype(np.uint8)] * 2, 1)}

    def cancel(self) -> None: ...


def numbered(count: int) -> Array:
    return np.broadcast_to(np.arange(count, dtype=np.int16)[:, None, None], (count, SIZE, SIZE)).copy()


def lungs(count: int, where: slice = slice(None)) -> Array:
    mask = np.zeros((count, SIZE, SIZE), np.bool_)
    mask[where] = True
    return mask


@pytest.mark.parametrize("where", [slice(0, 8), slice(2, 7), slice(4, 5), slice(5, 8)])
def test_each_slice_is_answered_once_and_others_are_not_asked(where: slice) -> None:
    backend = Echo()
    said = infer_stacks(numbered(8), lungs(8, where), SPEC, backend)  # type: ignore[arg-type]
    expected = np.where((np.arange(8) >= where.start) & (np.arange(8) < where.stop), np.arange(8), 0)
    assert said.shape == (2, 8, SIZE, SIZE)
    assert (said[1, :, 0, 0] == expected).all()
    assert len(backend.stacks) == -(-(where.stop - where.start) // ASKED)


def test_the_first_and_the_last_slice_are_repeated_beyond_the_ends() -> None:
    backend = Echo()
    infer_stacks(numbered(4), lungs(4), SPEC, backend)  # type: ignore[arg-type]
    assert sorted(backend.stacks) == [[0, 0, 0, 1, 2, 3, 3], [1, 2, 3, 3, 3, 3, 3]]


def test_lungs_larger_than_a_window_are_seen_in_several_and_no_pixel_is_lost() -> None:
    backend, plane = Echo(), np.arange(15 * 12, dtype=np.int16).reshape(15, 12)
    hu, mask = np.stack([plane] * 4), np.zeros((4, 15, 12), np.bool_)
    mask[1, 3:10, 2:4] = mask[2, 14, 11] = True
    said = infer_stacks(hu, mask, SPEC, backend)  # type: ignore[arg-type]
    assert (said[1][mask] == hu[mask]).all()
    assert len(backend.stacks) > 1
    near = infer_stacks(hu, mask[:2], SPEC, Echo())  # type: ignore[arg-type]
    assert (near[0][:2][mask[:2]] == hu[:2][mask[:2]]).all()


def test_slices_between_two_parts_of_lung_are_not_asked() -> None:
    backend, mask = Echo(), lungs(12, slice(0, 1))
    mask[11] = True
    infer_stacks(numbered(12), mask, SPEC, backend)  # type: ignore[arg-type]
    assert len(backend.stacks) == 2


def test_progress_ends_at_one() -> None:
    told: list[float] = []
    infer_stacks(numbered(8), lungs(8), SPEC, Echo(), told.append)  # type: ignore[arg-type]
    assert told == sorted(told) and told[-1] == 1.0


def test_the_role_takes_this_spec_and_says_what_is_wrong_with_others() -> None:
    assert not list(OPACITY_CONTEXT.check(SPEC))
    (hu,), (p,) = SPEC.inputs, SPEC.outputs
    for wrong, why in (
        (replace(SPEC, layout="plane-grid"), "layout"),
        (replace(SPEC, spacing_mm=None), "spacing_mm"),
        (replace(SPEC, thresholds={"lung": 0.5}), "thresholds"),
        (replace(SPEC, thresholds={"lung": 0.5, "opacity": 1.0}), "thresholds"),
        (replace(SPEC, slice_mm=0.0), "slice_mm"),
        (replace(SPEC, slice_mm=9.0), "slice_mm"),
        (replace(SPEC, measured={"normal_percent": 101.0}), "measured"),
        (replace(SPEC, inputs=(hu, hu)), "inputs, outputs"),
        (replace(SPEC, inputs=(replace(hu, dims=(7, 4, 5)),)), "outputs"),
        (replace(SPEC, inputs=(replace(hu, dims=(7, 4)),)), "inputs"),
        (replace(SPEC, inputs=(replace(hu, dims=(8, 4, 4)),)), "outputs"),
        (replace(SPEC, outputs=(replace(p, dims=(3, 3, 4, 4)),)), "outputs"),
        (replace(SPEC, outputs=(replace(p, axes=("opacity, lung", "s", "r", "c")),)), "outputs"),
    ):
        assert [mistake for mistake in OPACITY_CONTEXT.check(wrong) if mistake.startswith(why)], why
