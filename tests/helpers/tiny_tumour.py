"""A network without weights that outlines the tumours of phantoms: they are denser than bone (`helpers.tumours`).

Its answer is how much of a pixel is tumour, as between lung and tumour: half of it is the threshold. So what is tested
is the way there and back.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from helpers import tiny_models
from helpers.phantom import LUNG_HU
from helpers.tumours import TUMOUR_HU
from service.domain.model_spec import ModelSpec, TensorSpec

ASKED, REACH, SIZE = 8, 3, 96
_PLANE = ("slice to F", "row to P", "column to L")
LEAST_ML, LEAST_PEAK = 0.3, 0.6

LUNG_TUMOUR = ModelSpec(
    name="lung-tumour",
    version="",
    inputs=(TensorSpec("hu", "int16", (ASKED + 2 * REACH, SIZE, SIZE), _PLANE),),
    outputs=(TensorSpec("probability", "uint8", (1, ASKED, SIZE, SIZE), ("tumour", *_PLANE)),),
    max_batch=1,
    spacing_mm=2.0,
    slice_mm=2.5,
    thresholds={"tumour": 0.5},
    licence="CC0",
    layout="slice-stacks",
    measured={"least_ml": LEAST_ML, "least_peak": LEAST_PEAK},
)


PAPER = replace(
    LUNG_TUMOUR,
    inputs=(TensorSpec("hu", "int16", (1, 512, 512), ("channel", *_PLANE[1:])),),
    outputs=(TensorSpec("probability", "uint8", (1, 512, 512), ("tumour", *_PLANE[1:])),),
    max_batch=4,
    spacing_mm=1.0,
    slice_mm=None,
    window_hu=(-1350, 150),
    layout="paper-slices",
)
"""The same, fed as the paper has it."""


_NUMBERS = [
    numpy_helper.from_array(np.array(value, np.float32), name)
    for name, value in (
        ("lung", LUNG_HU),
        ("scale", 255.0 / (TUMOUR_HU - LUNG_HU)),
        ("nothing", 0.0),
        ("certain", 255.0),
    )
]
_PART = [
    helper.make_node("Sub", ["one", "lung"], ["above"]),
    helper.make_node("Mul", ["above", "scale"], ["part"]),
    helper.make_node("Clip", ["part", "nothing", "certain"], ["within"]),
    helper.make_node("Round", ["within"], ["whole"]),
    helper.make_node("Cast", ["whole"], ["probability"], to=TensorProto.UINT8),
]


def paper_tumour() -> bytes:
    """As `lung_tumour`, of one slice."""
    return tiny_models.model(PAPER, [helper.make_node("Cast", ["hu"], ["one"], to=TensorProto.FLOAT), *_PART], _NUMBERS)


def lung_tumour() -> bytes:
    """255 (hu - lung) / (tumour - lung), clipped, of the slices in the middle; the file carries no spec."""
    constants = [
        numpy_helper.from_array(np.array(values, np.int64), name)
        for name, values in (("first", [REACH]), ("last", [REACH + ASKED]), ("slices", [1]))
    ]
    nodes = [
        helper.make_node("Cast", ["hu"], ["wide"], to=TensorProto.FLOAT),
        helper.make_node("Slice", ["wide", "first", "last", "slices"], ["middle"]),
        helper.make_node("Unsqueeze", ["middle", "slices"], ["one"]),
        *_PART,
    ]
    return tiny_models.model(LUNG_TUMOUR, nodes, [*constants, *_NUMBERS])


def repository(folder: Path, paper: bool = False) -> Path:
    """The repository of `tiny_models`, with this network besides. paper: in the layout of the paper."""
    made = tiny_models.repository(folder)
    tiny_models.serve(made, *((paper_tumour(), PAPER) if paper else (lung_tumour(), LUNG_TUMOUR)))
    return made
