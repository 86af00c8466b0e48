"""The network in int8, quantised on slices of a real CT; and in float, with the probability before it is rounded."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

PROBABILITY = "Sigmoid"
"""Kind of the node whose output is the probability."""

_QUANTISED = ["Conv", "MaxPool", "Concat", "Resize"]


class _Slices(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, hu: NDArray[np.int16]) -> None:
        self._rest: Iterator[NDArray[np.int16]] = iter(hu)
        self._name = name

    def get_next(self) -> dict[str, NDArray[np.int16]] | None:
        one = next(self._rest, None)
        return None if one is None else {self._name: one[None]}


def with_probability(model: Path, out: Path) -> Path:
    """A copy that also gives the probability as float: its rounding to UINT8 hides what differs."""
    graph = onnx.load(model)
    (name,) = (node.output[0] for node in graph.graph.node if node.op_type == PROBABILITY)
    shape = [dim.dim_param or dim.dim_value for dim in graph.graph.output[0].type.tensor_type.shape.dim]
    graph.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    onnx.save(graph, out)
    return out


def quantised(model: Path, hu: NDArray[np.int16], out: Path) -> Path:
    """Static int8 in QDQ form. hu: slices to calibrate on, shape (slice, 1, row, column).

    The first and the last convolution stay in float, as is usual: they are cheap, and mean most for the answer.
    """
    prepared = out.with_suffix(".prepared.onnx")
    quant_pre_process(str(model), str(prepared), skip_symbolic_shape=True)
    graph = onnx.load(prepared).graph
    first, *_, last = (node.name for node in graph.node if node.op_type == "Conv")
    quantize_static(
        str(prepared),
        str(out),
        _Slices(graph.input[0].name, hu),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=_QUANTISED,
        nodes_to_exclude=[first, last],
    )
    return out
