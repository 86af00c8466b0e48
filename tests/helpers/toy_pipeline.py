"""`emphysema-index`, a pipeline in a package of its own: how tests install it, and a network for its role.

The network takes two tensors of one axis and gives two: FP32 and true or false, then true or false and INT64.
"""

import os
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from service.domain.model_spec import ModelSpec, TensorSpec

FOLDER = Path(__file__).parents[1] / "emphysema_index"
"""A folder of `sys.path` that holds the package and its entry point."""

NAME = "emphysema-index"

_LENGTH = 2**16
_FLOAT, _BOOL, _INT64 = TensorProto.FLOAT, TensorProto.BOOL, TensorProto.INT64

MODEL = ModelSpec(
    name="emphysema-voxels",
    version="",
    inputs=(
        TensorSpec("hu", "float32", (_LENGTH,), ("voxel",)),
        TensorSpec("lung", "bool", (_LENGTH,), ("voxel",)),
    ),
    outputs=(
        TensorSpec("emphysema", "bool", (_LENGTH,), ("voxel",)),
        TensorSpec("count", "int64", (1,), ("all",)),
    ),
    max_batch=4,
    licence="CC0",
    layout="voxels",
    source="tests",
)


def environment() -> dict[str, str]:
    """Environment of a process in which the package is installed."""
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(FOLDER), os.environ.get("PYTHONPATH"))))}


def network(below_hu: float = -950.0) -> bytes:
    """Emphysema is lung below so many HU; the file carries no spec."""
    nodes = [
        helper.make_node("Less", ["hu", "below"], ["thin"]),
        helper.make_node("And", ["thin", "lung"], ["emphysema"]),
        helper.make_node("Cast", ["emphysema"], ["ones"], to=_INT64),
        helper.make_node("ReduceSum", ["ones", "axis"], ["count"], keepdims=1),
    ]
    constants = [
        numpy_helper.from_array(np.array(below_hu, np.float32), "below"),
        numpy_helper.from_array(np.array([1], np.int64), "axis"),
    ]
    kinds = {"hu": _FLOAT, "lung": _BOOL, "emphysema": _BOOL, "count": _INT64}
    inputs, outputs = (
        [helper.make_tensor_value_info(one.name, kinds[one.name], ["batch", *one.dims]) for one in tensors]
        for tensors in (MODEL.inputs, MODEL.outputs)
    )
    graph = helper.make_graph(nodes, MODEL.name, inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
