"""Synthetic chest images as input of models: of no patient, and the same every time."""

import numpy as np
from numpy.typing import NDArray

from service.domain.model_spec import ModelSpec

_AIR_HU, _SOFT_HU, _LUNG_HU, _OPACITY_HU, _NOISE_HU = -1000.0, 40.0, -850.0, -550.0, 30.0


def drawn(spec: ModelSpec, number: int = 0) -> NDArray[np.int16] | NDArray[np.uint8]:
    """What a model of this spec takes, drawn, without the batch axis; another image for every number."""
    (tensor,) = spec.inputs
    if spec.input_layout == "lung-boxes":
        return np.stack([_ellipsoid(tensor.dims[-1])] * 2)
    return _slice(tensor.dims[-1], np.random.default_rng(number)).astype(np.int16)[None]


def _slice(size: int, random: np.random.Generator) -> NDArray[np.float64]:
    """An axial slice of a chest: a body with two lungs of a random height and an opacity in each."""
    row, column = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    hu = np.where((row / 0.8) ** 2 + (column / 0.95) ** 2 < 1.0, _SOFT_HU, _AIR_HU)
    height = random.uniform(0.3, 0.6)
    for middle in (-0.45, 0.45):
        hu[(row / height) ** 2 + ((column - middle) / 0.3) ** 2 < 1.0] = _LUNG_HU
        hu[((row - 0.1) / 0.15) ** 2 + ((column - middle) / 0.15) ** 2 < 1.0] = _OPACITY_HU
    return np.asarray(hu + random.normal(0.0, _NOISE_HU, hu.shape))


def _ellipsoid(size: int) -> NDArray[np.uint8]:
    """A lung that fills its box."""
    x, y, z = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j, -1 : 1 : size * 1j]
    return np.where(x**2 + y**2 + z**2 < 1.0, 255, 0).astype(np.uint8)
