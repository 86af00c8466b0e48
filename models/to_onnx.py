"""A network as it is served, as an ONNX graph, compared with torch before anyone may use it."""

import io
from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn

from service.domain.model_spec import ModelSpec
from service.errors import Permanent
from service.inference.conversion import Fidelity, check_conversion

_FLOAT = "probability_float"

Examples = Sequence[NDArray[np.int16]] | Sequence[NDArray[np.uint8]]


def to_onnx(served: nn.Module, spec: ModelSpec, examples: Examples, opset: int) -> onnx.ModelProto:
    """The served graph; Permanent if ONNX Runtime does not repeat torch (`service.inference.conversion`).

    served: one INT16 image, or UINT8 masks, in; probabilities out as float, then the same as UINT8; channels are the
    second axis.
    examples: what both are asked, with a batch axis.
    """
    model = graph(served, spec, (_FLOAT, spec.outputs[0].name), opset)
    print(f"ONNX Runtime against torch: {_compare(model, served, spec, examples)}")
    return without_output(model, _FLOAT)


def graph(served: nn.Module, spec: ModelSpec, outputs: Sequence[str], opset: int) -> onnx.ModelProto:
    """The graph of a network that takes the inputs of `spec`; outputs: names of what it returns."""
    buffer = io.BytesIO()
    batch = torch.export.Dim("batch", max=max(2, spec.max_batch))
    torch.onnx.export(
        served,
        tuple(torch.from_numpy(np.zeros((2, *taken.dims), taken.dtype)) for taken in spec.inputs),
        buffer,
        input_names=[taken.name for taken in spec.inputs],
        output_names=list(outputs),
        dynamic_shapes={taken.name: {0: batch} for taken in spec.inputs},
        opset_version=opset,
        dynamo=True,
        external_data=False,
    )
    return onnx.load_from_string(buffer.getvalue())


def without_output(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """The same graph, which no longer gives `name`."""
    for output in [output for output in model.graph.output if output.name == name]:
        model.graph.output.remove(output)
    return model


def _compare(
    model: onnx.ModelProto,
    served: nn.Module,
    spec: ModelSpec,
    examples: Examples,
) -> Fidelity:
    """Permanent as `check_conversion`, or if bytes differ by more than 1."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    original, converted = [], []
    for hu in examples:
        with torch.no_grad():
            expected, quantised = (tensor.numpy() for tensor in served(torch.from_numpy(hu)))
        found, served_bytes = session.run([_FLOAT, spec.outputs[0].name], {spec.inputs[0].name: hu})
        if np.abs(served_bytes.astype(int) - quantised).max() > 1:
            raise Permanent("ONNX Runtime and torch round the probabilities differently.")
        original += list(_images(expected))
        converted += list(_images(found))
    thresholds = [spec.thresholds[channel] for channel in spec.outputs[0].channels]
    return check_conversion(np.stack(original), np.stack(converted), thresholds)


def _images(answer: NDArray[np.float32]) -> NDArray[np.float32]:
    """All slices of all stacks: (image, channel, row, column)."""
    stacks = np.moveaxis(answer, 1, -3)
    return stacks.reshape(-1, *stacks.shape[-3:])


def smooth_noise(dims: Sequence[int], batch: int, random: np.random.Generator) -> NDArray[np.int16]:
    """HU of about lung and soft tissue in lumps of 16 pixels; shape (batch, *dims), of which the last two are rows and
    columns."""
    rows, columns = dims[-2:]
    coarse = random.normal(-500.0, 400.0, (batch, *dims[:-2], rows // 16, columns // 16))
    lumps = coarse.repeat(16, -2).repeat(16, -1)
    return np.asarray(lumps + random.normal(0.0, 50.0, (batch, *dims))).astype(np.int16)
