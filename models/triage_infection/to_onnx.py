"""The trained classifier as it is served."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch

from models.to_onnx import graph, smooth_noise, without_output
from service.errors import Permanent
from service.inference.conversion import MAX_DIFFERENCE

from .network import RELEASED, Name, Served, build
from .spec import REGION, SPEC

_FLOAT = "heat_map_float"


def to_onnx(weights: Path, temperature: float, opset: int, name: Name = RELEASED) -> onnx.ModelProto:
    """The served graph; Permanent if ONNX Runtime does not repeat torch.

    temperature: of the calibration (`models.triage_infection.calibration`).
    """
    network = build(name)
    network.load_state_dict(torch.load(weights, weights_only=True))
    served = Served(network, temperature).eval()
    probabilities, heat_map = (tensor.name for tensor in SPEC.outputs)
    model = graph(served, SPEC, (probabilities, _FLOAT, heat_map), opset)
    print(f"ONNX Runtime against torch: largest difference {_compare(model, served):.1e}")
    return without_output(model, _FLOAT)


def _compare(model: onnx.ModelProto, served: Served) -> float:
    """The largest difference of probabilities and heat maps, 0-1; Permanent above `MAX_DIFFERENCE`, or if bytes differ
    by more than 1."""
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    random, worst = np.random.default_rng(0), 0.0
    for batch in (1, 3):
        hu = smooth_noise(REGION, batch, random)
        mask = (smooth_noise(REGION, batch, random) > -500).astype(np.uint8)
        with torch.no_grad():
            expected = [tensor.numpy() for tensor in served(torch.from_numpy(hu), torch.from_numpy(mask))]
        found = session.run(None, {"hu": hu, "mask": mask})
        if np.abs(found[2].astype(int) - expected[2]).max() > 1:
            raise Permanent("ONNX Runtime and torch round the heat maps differently.")
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in zip(found[:2], expected[:2], strict=True)))
    if not worst <= MAX_DIFFERENCE:
        raise Permanent(f"The converted network does not repeat the original: a value differs by {worst:.1e}.")
    return worst
