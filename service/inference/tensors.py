"""Checks the inputs of a model against its spec, for every back end."""

from collections.abc import Mapping

from service.domain.model_spec import ModelSpec, TensorSpec
from service.domain.ports import Array
from service.errors import Permanent


def check_inputs(spec: ModelSpec, inputs: Mapping[str, Array]) -> None:
    """Permanent if the inputs of one batch are not what the spec says."""
    expected = {tensor.name: tensor for tensor in spec.inputs}
    if inputs.keys() != expected.keys():
        raise Permanent(f"Model {spec.name} takes {sorted(expected)}, not {sorted(inputs)}.")
    for name, array in inputs.items():
        _check_input(spec, expected[name], array)


def _check_input(spec: ModelSpec, tensor: TensorSpec, array: Array) -> None:
    batch = array.shape[0] if array.ndim else 0
    if array.dtype != tensor.dtype or array.shape[1:] != tensor.dims or not 1 <= batch <= spec.max_batch:
        raise Permanent(
            f"Model {spec.name} takes {tensor.name} as {tensor.dtype} of shape (1-{spec.max_batch}, {tensor.dims}), "
            f"not {array.dtype} of shape {array.shape}."
        )
