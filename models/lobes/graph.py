"""The prior as an ONNX graph with the interface of a trained lobe network, so that one can take its place."""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from .spec import SPEC

_TYPES = {"uint8": TensorProto.UINT8}


def graph(prior: NDArray[np.uint8], opset: int) -> onnx.ModelProto:
    """A model that answers every pair of lung boxes with the same lobe probabilities.

    prior: round(255 p), shape as the spec's output.
    """
    taken, given = SPEC.inputs[0], SPEC.outputs[0]
    if prior.shape != given.dims or prior.dtype != np.uint8:
        raise ValueError(f"the prior is {prior.dtype} {prior.shape}, not uint8 {given.dims}")
    constants = [
        numpy_helper.from_array(prior[None], "prior"),
        numpy_helper.from_array(np.array(given.dims, np.int64), "box"),
    ]
    nodes = [
        helper.make_node("Shape", [taken.name], ["batch"], start=0, end=1),
        helper.make_node("Concat", ["batch", "box"], ["shape"], axis=0),
        helper.make_node("Expand", ["prior", "shape"], [given.name]),
    ]
    tensors = [helper.make_tensor_value_info(t.name, _TYPES[t.dtype], ["batch", *t.dims]) for t in (taken, given)]
    body = helper.make_graph(nodes, SPEC.name, tensors[:1], tensors[1:], constants)
    return helper.make_model(
        body, opset_imports=[helper.make_opsetid("", opset)], ir_version=9, producer_name="thoracle"
    )
