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
    """The served graph; Permanent if ONNX Runtime does not repeat torch. weights: weights.pt, or a checkpoint.pt, whose
    running mean is taken."""
    network = build(name)
    network.load_state_dict(result(weights))
    random = np.random.default_rng(0)
    examples = [smooth_noise(SPEC.inputs[0].dims, batch, random) for batch in (1, 2)]
    return exported(Served(network, name).eval(), SPEC, examples, opset)


def result(weights: Path) -> dict[str, torch.Tensor]:
    """The weights of a run that has ended, or so far of one that has not."""
    saved = torch.load(weights, weights_only=True, map_location="cpu")
    if "average" not in saved:
        return dict(saved)
    return {key.removeprefix("module."): value for key, value in saved["average"].items() if key.startswith("module.")}
