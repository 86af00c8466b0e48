"""Models that see both lungs as masks, each in a box of its own."""

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from service.domain.model_spec import ModelSpec
from service.domain.ports import Backend
from service.imaging.lobes import lung_boxes
from service.imaging.side import Side

LUNG_BOXES = "lung-boxes"
"""The layout's name."""


def in_boxes(on_model: hd.Volume, spec: ModelSpec, backend: Backend) -> tuple[NDArray[np.uint8], dict[Side, hd.Volume]]:
    """What the model says, UINT8, axes (channel, slice, row, column), and each lung in the box it was seen in.

    on_model: labels (`Side`), both present.
    """
    boxes = lung_boxes(on_model, spec.inputs[0].dims[-1])
    both = np.stack([boxes[side].array for side in Side])
    return backend.infer(spec.name, {spec.inputs[0].name: both[None]})[spec.outputs[0].name][0], boxes
