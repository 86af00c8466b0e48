"""Synthetic chest images as input of models: of no patient, and the same every time."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain.model_spec import ModelSpec, TensorSpec
from service.domain.ports import Array

_AIR_HU, _SOFT_HU, _LUNG_HU, _OPACITY_HU, _NOISE_HU = -1000.0, 40.0, -850.0, -550.0, 30.0
_MASKS = ("uint8", "bool")

_SMALLER = 0.05
"""The lung of each image has a smaller radius than that of the image before."""


def synthetic_inputs(spec: ModelSpec, number: int = 0) -> dict[str, Array]:
    """One image for a model of this spec, by tensor, with a batch axis of 1; another image for every number.

    A tensor of UINT8 or true and false is a mask; of other whole numbers HU; of fractions HU / 1000. The last two axes
    of HU are rows and columns; of a mask, every axis after the first is one of space.
    """
    return {tensor.name: _synthetic(tensor, number)[None] for tensor in spec.inputs}


def _synthetic(tensor: TensorSpec, number: int) -> Array:
    if tensor.dtype in _MASKS:
        first, *space = tensor.dims if len(tensor.dims) > 1 else (1, *tensor.dims)
        mask = _ellipsoid(space, 1.0 / (1.0 + _SMALLER * number))
        return np.stack([mask] * first).reshape(tensor.dims).astype(tensor.dtype)
    rows, columns = tensor.dims[-2:] if len(tensor.dims) > 1 else (1, *tensor.dims)
    hu = _slice(rows, columns, np.random.default_rng(number))
    image = np.broadcast_to(hu if len(tensor.dims) > 1 else hu[0], tensor.dims)
    if tensor.dtype.startswith("float"):
        return (image / 1000.0).astype(tensor.dtype)
    limits = np.iinfo(tensor.dtype)
    return image.clip(limits.min, limits.max).astype(tensor.dtype)


def _slice(rows: int, columns: int, random: np.random.Generator) -> NDArray[np.float64]:
    """An axial slice of a chest: a body with two lungs of a random height, an opacity in each, and a mass in one."""
    row, column = np.meshgrid(_axis(rows), _axis(columns), indexing="ij")
    hu = np.where((row / 0.8) ** 2 + (column / 0.95) ** 2 < 1.0, _SOFT_HU, _AIR_HU)
    height = random.uniform(0.3, 0.6)
    for middle in (-0.45, 0.45):
        hu[(row / height) ** 2 + ((column - middle) / 0.3) ** 2 < 1.0] = _LUNG_HU
        hu[((row - 0.1) / 0.15) ** 2 + ((column - middle) / 0.15) ** 2 < 1.0] = _OPACITY_HU
    hu[((row + 0.15) / 0.13) ** 2 + ((column - 0.45) / 0.1) ** 2 < 1.0] = _SOFT_HU
    return np.asarray(hu + random.normal(0.0, _NOISE_HU, hu.shape))


def _ellipsoid(size: Sequence[int], radius: float) -> NDArray[np.uint8]:
    """A lung that fills its box with a radius of 1, of any number of axes."""
    axes = np.meshgrid(*map(_axis, size), indexing="ij")
    return np.where(sum(axis**2 for axis in axes) < radius**2, 255, 0).astype(np.uint8)


def _axis(length: int) -> NDArray[np.float64]:
    """From -1 to 1; a single one lies in the middle."""
    return np.linspace(-1.0, 1.0, length) if length > 1 else np.zeros(1)
