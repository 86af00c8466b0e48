"""Tensors of models, for every back end: their types, the check of inputs, and which differences count."""

from collections.abc import Mapping

import numpy as np

from service.domain.model_spec import DType, ModelSpec, TensorSpec
from service.domain.ports import Array
from service.errors import Permanent

TRITON_TYPES: Mapping[DType, str] = {
    "bool": "BOOL",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
}
"""As its protocol names them; its configurations write TYPE_ before."""

_MOST_PROBABLE = 255
"""The UINT8 value of a certain probability."""


def check_inputs(spec: ModelSpec, inputs: Mapping[str, Array]) -> None:
    """Permanent if the inputs of one batch are not what the spec says."""
    expected = {tensor.name: tensor for tensor in spec.inputs}
    if inputs.keys() != expected.keys():
        raise Permanent(f"Model {spec.name} takes {sorted(expected)}, not {sorted(inputs)}.")
    for name, array in inputs.items():
        _check_input(spec, expected[name], array)
    if len({len(array) for array in inputs.values()}) > 1:
        raise Permanent(f"Model {spec.name} takes as many images in each of {', '.join(expected)}.")


def one_step(expected: Array) -> float:
    """The difference from an answer up to which it may be rounding: one of 255 parts of its range.

    The range is that of probabilities, or of the answer where that is larger. True and false, and whole numbers up to
    255 that are not UINT8, are labels or small counts: a step is so small that any difference is larger than two.
    """
    if expected.dtype == np.uint8:
        return 1.0
    largest = float(np.abs(expected.astype(np.float64)).max(initial=1.0))
    right_or_wrong = expected.dtype.kind != "f" and largest <= _MOST_PROBABLE
    return (1.0 if right_or_wrong else largest) / _MOST_PROBABLE


def check_numbers(spec: ModelSpec, answer: Mapping[str, Array]) -> None:
    """Permanent if an answer holds NaN or infinity: nothing could be compared with it."""
    for name, array in answer.items():
        if not np.isfinite(array).all():
            raise Permanent(f"Model {spec.name} answers values that are not numbers (NaN or infinity) as {name}.")


def _check_input(spec: ModelSpec, tensor: TensorSpec, array: Array) -> None:
    batch = array.shape[0] if array.ndim else 0
    if array.dtype != tensor.dtype or array.shape[1:] != tensor.dims or not 1 <= batch <= spec.max_batch:
        raise Permanent(
            f"Model {spec.name} takes {tensor.name} as {tensor.dtype} of shape (1-{spec.max_batch}, {tensor.dims}), "
            f"not {array.dtype} of shape {array.shape}."
        )
