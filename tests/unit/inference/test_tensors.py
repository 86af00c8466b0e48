"""Models take and give tensors of any number, type and rank: they load, are tried, and wrong answers are named."""

from typing import Any, get_args

import numpy as np
import onnx
import pytest
from google.protobuf import text_format
from helpers import toy_pipeline
from onnx import helper
from tritonclient.grpc import model_config_pb2
from tritonclient.utils import np_to_triton_dtype

from service.domain.model_spec import DType, ModelSpec, TensorSpec
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


def identity(spec: ModelSpec) -> bytes:
    """It gives what it takes."""
    (taken,), (given,) = spec.inputs, spec.outputs
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(taken.dtype))
    ends = [helper.make_tensor_value_info(one.name, kind, ["batch", *one.dims]) for one in (taken, given)]
    graph = helper.make_graph([helper.make_node("Identity", ["taken"], ["given"])], "any", ends[:1], ends[1:])
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


def test_synthetic_images_differ_and_are_the_same_every_time() -> None:
    spec = toy_pipeline.MODEL
    first, again, second = synthetic_inputs(spec), synthetic_inputs(spec), synthetic_inputs(spec, 1)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["hu"], second["hu"])
    assert first["lung"].any() and not first["lung"].all()


@pytest.mark.parametrize(
    ("expected", "step"),
    [
        (np.array([0, 3], np.uint8), 1.0),
        (np.array([0.0, 0.2], np.float32), 1 / 255),
        (np.array([-510.0, 3.0], np.float32), 2.0),
        (np.array([0, 51], np.int64), 51 / 255),
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
