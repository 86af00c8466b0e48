"""Pictures for the model card: where the network and the label differ."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from .evaluate import Compared

FOUND, LABELLED = (255, 70, 40), (60, 200, 255)
"""Outline colours: opacity found (red) and labelled (blue)."""

_WINDOW_HU = (-1250.0, 250.0)
_PARTS = (0.25, 0.5, 0.75)
_COLOURS = 48


def draw(case: Compared, path: Path) -> None:
    """The three slices where a quarter, half and three quarters of the labelled opacity lie behind us."""
    behind = np.cumsum(np.count_nonzero(case.opacity, (1, 2)))
    slices = [int(np.searchsorted(behind, part * behind[-1])) for part in _PARTS]
    picture = Image.fromarray(np.concatenate([_slice(case, index) for index in slices], axis=1))
    path.parent.mkdir(exist_ok=True)
    picture.quantize(_COLOURS).save(path, optimize=True)


def _slice(case: Compared, index: int) -> NDArray[np.uint8]:
    low, high = _WINDOW_HU
    grey = 255.0 * np.clip((case.ct.volume.array[index] - low) / (high - low), 0.0, 1.0)
    rgb = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    for mask, colour in ((case.opacity[index], LABELLED), (case.found.opacity[index], FOUND)):
        rgb[mask & ~ndimage.binary_erosion(mask)] = colour
    return rgb
