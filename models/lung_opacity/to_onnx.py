"""Trained weights to an ONNX graph, compared with torch before anyone may use it."""

import io
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch

from service.errors import Permanent
from service.inference.conversion import Fidelity, check_conversion

from .network import RELEASED, Name, Served, build
from .spec import CHANNELS, SPEC

_FLOAT = "probability_float"


def to_onnx(weights: Path, opset: int, name: Name = RELEASED) -> onnx.ModelProto:
    """The served graph; Permanent if ONNX Runtime does not repeat torch (`service.inference.conversion`)."""
    network = build(name)
    network.load_state_dict(torch.load(weights, weights_only=True))
    served = Served(network).eval()
    taken, given = SPEC.inputs[0], SPEC.outputs[0]
    buffer = io.BytesIO()
    torch.onnx.export(
        served,
        (torch.zeros((2, *taken.dims), dtype=torch.int16),),
        buffer,
        input_names=[taken.name],
        output_names=[_FLOAT, given.name],
        dynamic_shapes={"hu": {0: torch.export.Dim("batch", max=SPEC.max_batch)}},
        opset_version=opset,
        dynamo=True,
        external_data=False,
    )
    model = onnx.load_from_string(buffer.getvalue())
    print(f"ONNX Runtime against torch: {_compare(model, served)}")
    for output in [o for o in model.graph.output if o.name == _FLOAT]:
        model.graph.output.remove(output)
    return model


def _compare(model: onnx.ModelProto, served: Served) -> Fidelity:
    """On smooth random images, in batches of several sizes. Permanent as `check_conversion`, or if bytes differ by more
    than 1."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    random, original, converted = np.random.default_rng(0), [], []
    for batch in (1, 3, 8):
        coarse = random.normal(-500.0, 400.0, (batch, 1, 16, 16))
        hu = (coarse.repeat(16, 2).repeat(16, 3) + random.normal(0.0, 50.0, (batch, *SPEC.inputs[0].dims))).astype(
            np.int16
        )
        with torch.no_grad():
            expected, quantised = (tensor.numpy() for tensor in served(torch.from_numpy(hu)))
        found, served_bytes = session.run([_FLOAT, SPEC.outputs[0].name], {SPEC.inputs[0].name: hu})
        if np.abs(served_bytes.astype(int) - quantised).max() > 1:
            raise Permanent("ONNX Runtime and torch round the probabilities differently.")
        original.append(expected)
        converted.append(found)
    thresholds = [SPEC.thresholds[channel] for channel in CHANNELS]
    return check_conversion(np.concatenate(original), np.concatenate(converted), thresholds)
