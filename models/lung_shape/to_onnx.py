"""The trained network as it is served."""

from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from models.lobes.spec import SIZE
from models.to_onnx import to_onnx as exported

from .network import Served, build
from .spec import SPEC


def to_onnx(weights: Path, opset: int) -> onnx.ModelProto:
    """The served graph; Permanent if ONNX Runtime does not repeat torch."""
    network = build()
    network.load_state_dict(torch.load(weights, weights_only=True))
    random = np.random.default_rng(0)
    return exported(Served(network).eval(), SPEC, [_lungs(batch, random) for batch in (1, 2)], opset)


def _lungs(batch: int, random: np.random.Generator) -> NDArray[np.uint8]:
    """Ellipsoids that nearly fill their boxes; shape (batch, side, slice, row, column)."""
    axes = (
        np.linspace(-1.0, 1.0, SIZE)[:, None, None],
        np.linspace(-1.0, 1.0, SIZE)[:, None],
        np.linspace(-1.0, 1.0, SIZE),
    )
    half = random.uniform(0.7, 1.0, (3, batch, 2, 1, 1, 1))
    inside = sum((axis / reach) ** 2 for axis, reach in zip(axes, half, strict=True)) < 1.0
    return np.asarray(inside * 255, np.uint8)
