"""Trained weights to an ONNX graph, compared with torch before anyone may use it."""

import io
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch

from .network import RELEASED, Name, Served, build
from .spec import CHANNELS, SPEC

MAX_DIFFERENCE = 1e-4
"""Between torch's and ONNX Runtime's probabilities."""

MAX_FLIPS = 1e-4
"""Part of the pixels that may lie on the other side of a threshold."""

_FLOAT = "probability_float"


def to_onnx(weights: Path, opset: int, name: Name = RELEASED) -> onnx.ModelProto:
    """The served graph; ValueError if ONNX Runtime differs from torch by more than `MAX_DIFFERENCE` or `MAX_FLIPS`."""
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
    difference, flips = _compare(model, served)
    print(f"ONNX Runtime against torch: largest difference {difference:.2e}, labels flipped {flips:.2%}")
    if difference > MAX_DIFFERENCE or flips > MAX_FLIPS:
        raise ValueError(
            f"ONNX Runtime differs from torch by {difference:.2e} and flips {flips:.3%} of the labels; "
            f"{MAX_DIFFERENCE} and {MAX_FLIPS:.2%} are allowed"
        )
    for output in [o for o in model.graph.output if o.name == _FLOAT]:
        model.graph.output.remove(output)
    return model


def _compare(model: onnx.ModelProto, served: Served) -> tuple[float, float]:
    """Largest difference of the probabilities and part of the labels flipped, on smooth random images."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    thresholds = np.array([SPEC.thresholds[channel] for channel in CHANNELS])[:, None, None]
    random, worst, flipped, labels = np.random.default_rng(0), 0.0, 0, 0
    for batch in (1, 3, 8):
        coarse = random.normal(-500.0, 400.0, (batch, 1, 16, 16))
        hu = (coarse.repeat(16, 2).repeat(16, 3) + random.normal(0.0, 50.0, (batch, *SPEC.inputs[0].dims))).astype(
            np.int16
        )
        with torch.no_grad():
            expected, quantised = (tensor.numpy() for tensor in served(torch.from_numpy(hu)))
        found, served_bytes = session.run([_FLOAT, SPEC.outputs[0].name], {SPEC.inputs[0].name: hu})
        worst = max(worst, float(np.abs(found - expected).max()))
        flipped += np.count_nonzero((found >= thresholds) != (expected >= thresholds))
        labels += found.size
        if np.abs(served_bytes.astype(int) - quantised).max() > 1:
            raise ValueError("ONNX Runtime and torch round the probabilities differently")
    return worst, flipped / labels
