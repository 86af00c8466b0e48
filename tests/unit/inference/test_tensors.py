"""Models take and give tensors of any number, type and rank: they load, are tried, and wrong answers are named."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from helpers import toy_pipeline
from onnx import helper, numpy_helper
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import np_to_triton_dtype

from service.domain.model_spec import DType, ModelSpec, TensorSpec
from service.errors import Permanent
from service.inference.config import render_config
from service.inference.known_answer import KnownAnswer
from service.inference.onnx import load_model
from service.inference.repository import embed
from service.inference.smoke_test import try_model
from service.inference.synthetic_ct import synthetic_inputs
from service.inference.tensors import TRITON_TYPES, one_step

TYPES: tuple[DType, ...] = get_args(DType)
DIMS = ((7,), (3, 5), (2, 4, 6), (1, 4, 5, 6))


def spec_of(dtype: DType, dims: tuple[int, ...], outputs: str = "given") -> ModelSpec:
    axes = tuple("abcd"[: len(dims)])
    return ModelSpec(
        "any", "1", (TensorSpec("taken", dtype, dims, axes),), (TensorSpec(outputs, dtype, dims, axes),), 2
    )


IDENTITY = (helper.make_node("Identity", ["taken"], ["given"]),)


def identity(spec: ModelSpec, nodes: Sequence[Any] = IDENTITY, constants: Sequence[Any] = ()) -> bytes:
    """A network that gives what it takes, or of other nodes."""
    (taken,), (given,) = spec.inputs, spec.outputs
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(taken.dtype))
    ends = [helper.make_tensor_value_info(one.name, kind, ["batch", *one.dims]) for one in (taken, given)]
    graph = helper.make_graph(nodes, "any", ends[:1], ends[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return embed(bytes(model.SerializeToString()), spec)


@pytest.mark.parametrize("dtype", TYPES)
def test_a_tensor_of_every_type_and_rank_is_loaded_and_tried(dtype: DType) -> None:
    for dims in DIMS:
        spec = spec_of(dtype, dims)
        image = synthetic_inputs(spec)["taken"]
        assert (image.shape, image.dtype) == ((1, *dims), np.dtype(dtype))
        answer = load_model(identity(spec), "any").infer({"taken": image})
        assert np.array_equal(answer["given"], image)
        assert try_model(identity(spec)) >= 0.0


@pytest.mark.parametrize("dtype", TYPES)
def test_triton_knows_every_type_by_its_own_name(dtype: DType) -> None:
    assert TRITON_TYPES[dtype] == np_to_triton_dtype(np.dtype(dtype))
    parsed = text_format.Parse(render_config(spec_of(dtype, (4,)), variant="gpu"), model_config_pb2.ModelConfig())
    assert model_config_pb2.DataType.Name(parsed.input[0].data_type) == f"TYPE_{TRITON_TYPES[dtype]}"


def test_a_model_that_answers_no_numbers_is_not_installed() -> None:
    spec = replace(spec_of("float32", (4,)), max_batch=2)
    infinite = numpy_helper.from_array(np.array([np.inf, 1.0, 1.0, 1.0], np.float32), "infinite")
    with pytest.raises(Permanent, match=r"not numbers .* as given"):
        try_model(identity(spec, [helper.make_node("Mul", ["taken", "infinite"], ["given"])], [infinite]))


def test_one_row_of_hounsfield_units_shows_a_chest() -> None:
    (tensor,) = spec_of("float32", (2**12,)).inputs
    (image,) = synthetic_inputs(ModelSpec("any", "1", (tensor,), (), 1)).values()
    assert image.min() < -1.0 and image.max() > 0.0 and np.any(np.abs(image + 0.85) < 0.02)


def test_synthetic_images_differ_and_are_the_same_every_time() -> None:
    spec = toy_pipeline.MODEL
    first, again, second = synthetic_inputs(spec), synthetic_inputs(spec), synthetic_inputs(spec, 1)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert all(not np.array_equal(first[name], second[name]) for name in first)
    assert first["lung"].any() and not first["lung"].all()


@pytest.mark.parametrize(
    ("expected", "step"),
    [
        (np.array([0, 3], np.uint8), 1.0),
        (np.array([0.0, 0.2], np.float32), 1 / 255),
        (np.array([-510.0, 3.0], np.float32), 2.0),
        (np.array([0, 51], np.int64), 1 / 255),
        (np.array([0, 255], np.int16), 1 / 255),
        (np.array([0, 510], np.int32), 2.0),
        (np.array([False, False]), 1 / 255),
    ],
)
def test_a_step_is_one_of_255_parts_of_the_range(expected: Any, step: float) -> None:
    assert one_step(expected) == pytest.approx(step)


@pytest.mark.parametrize(
    ("expected", "answer", "right"),
    [
        (np.arange(4, dtype=np.int64), np.array([0, 1, 2, 3]), True),
        (np.arange(4, dtype=np.int64), np.array([0, 1, 2, 4]), False),
        (np.full(9, 200, np.int16), np.full(9, 199), False),
        (np.full(9, 255, np.int32), np.full(9, 254), False),
        (np.full(9, 60000, np.int32), np.full(9, 59900), True),
        (np.array([True, False, False]), np.array([True, False, True]), False),
        (np.array([-300.0, 0.0, 400.0]), np.array([-299.0, 2.0, 397.0]), True),
        (np.array([-300.0, 0.0, 400.0]), np.array([-300.0, 0.0, 396.0]), False),
        (np.array([0.5, 0.1]), np.array([0.507, 0.1]), True),
        (np.array([0.5, 0.1]), np.array([0.509, 0.1]), False),
    ],
)
def test_whole_numbers_are_right_or_wrong_and_others_may_be_rounded(expected: Any, answer: Any, right: bool) -> None:
    known = KnownAnswer(None, {}, {"given": expected})  # type: ignore[arg-type]
    wrong = known.wrong({"given": answer.astype(expected.dtype)})
    assert (wrong is None) is right, wrong
