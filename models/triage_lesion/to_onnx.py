"""The trained network as it is served."""

from pathlib import Path

import numpy as np
import onnx
import torch

from models.to_onnx import smooth_noise
from models.to_onnx import to_onnx as exported

from .network import RELEASED, Name, Served, build
from .spec import SPEC


def to_onnx(weights: Path, opset: int, name: Name = RELEASED) -> onnx.ModelProto:
    """The served graph; Permanent if ONNX Runtime does not repeat torch."""
    network = build(name)
    network.load_state_dict(torch.load(weights, weights_only=True))
    random = np.random.default_rng(0)
    examples = [smooth_noise(SPEC.inputs[0].dims, batch, random) for batch in (1, 2)]
    return exported(Served(network).eval(), SPEC, examples, opset)
