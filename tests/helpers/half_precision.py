"""A network as 16-bit hardware computes it, on any CPU: all weights and intermediate values are rounded to 16 bits.

Sums are still taken in 32 bits, as tensor cores take them. What exceeds 65,504 becomes infinite, as there.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, shape_inference


def in_16_bits(content: bytes) -> bytes:
    """The same network, its spec included."""
    model = shape_inference.infer_shapes(onnx.load_from_string(content))
    kinds = {value.name: value.type.tensor_type.elem_type for value in model.graph.value_info}
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        for k, name in enumerate(node.output):
            if kinds.get(name) == TensorProto.FLOAT:
                node.output[k] = f"{name}_32"
                nodes.append(helper.make_node("Cast", [f"{name}_32"], [f"{name}_16"], to=TensorProto.FLOAT16))
                nodes.append(helper.make_node("Cast", [f"{name}_16"], [name], to=TensorProto.FLOAT))
    for weights in model.graph.initializer:
        if weights.data_type == TensorProto.FLOAT:
            rounded = numpy_helper.to_array(weights).astype(np.float16).astype(np.float32)
            weights.CopyFrom(numpy_helper.from_array(rounded, weights.name))
    _set_nodes(model, nodes)
    return bytes(model.SerializeToString())


def with_large_values_between(content: bytes, factor: float = 1000.0) -> bytes:
    """The same network; a value before its first layer is multiplied and divided again, which 32 bits do not mind."""
    model = onnx.load_from_string(content)
    first = next(node for node in model.graph.node if node.op_type == "Sub")
    wanted = first.output[0]
    first.output[0] = f"{wanted}_as_it_is"
    model.graph.initializer.append(numpy_helper.from_array(np.array(factor, np.float32), "factor"))
    more = [
        helper.make_node("Mul", [f"{wanted}_as_it_is", "factor"], [f"{wanted}_large"]),
        helper.make_node("Div", [f"{wanted}_large", "factor"], [wanted]),
    ]
    at = list(model.graph.node).index(first) + 1
    _set_nodes(model, [*model.graph.node[:at], *more, *model.graph.node[at:]])
    return bytes(model.SerializeToString())


def _set_nodes(model: onnx.ModelProto, nodes: list[onnx.NodeProto]) -> None:
    copied = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del model.graph.node[:]
    model.graph.node.extend(copied)
    del model.graph.value_info[:]
