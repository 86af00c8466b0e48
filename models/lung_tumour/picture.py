"""Pictures for the model card: where the network and the outline differ."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from service.domain.ct import CT

FOUND, OUTLINED = (255, 70, 40), (60, 200, 255)
"""Colours: found (red) and outlined (blue)."""

_WINDOW_HU = (-1000.0, 300.0)
_PARTS = (0.2, 0.5, 0.8)
_MARGIN = 40
_COLOURS = 48

Mask = NDArray[np.bool_]


def draw(ct: CT, found: Mask, outlined: Mask, path: Path) -> None:
    """Write a PNG of three slices: a fifth, half and four fifths of both masks lie before them. Axes as of `ct`."""
    either = found | outlined
    before = np.cumsum(np.count_nonzero(either, (1, 2)))
    slices = [int(np.searchsorted(before, part * before[-1])) for part in _PARTS]
    _, rows, columns = ndimage.find_objects(either.astype(np.uint8))[0]
    part = tuple(slice(max(0, side.start - _MARGIN), side.stop + _MARGIN) for side in (rows, columns))
    planes = [_slice(ct.volume.array[k][part], found[k][part], outlined[k][part]) for k in slices]
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.concatenate(planes, axis=1)).quantize(_COLOURS).save(path, optimize=True)


def _slice(hu: NDArray[np.float32], found: Mask, outlined: Mask) -> NDArray[np.uint8]:
    low, high = _WINDOW_HU
    grey = (255.0 * np.clip((hu - low) / (high - low), 0.0, 1.0)).astype(np.uint8)
    rgb = np.repeat(grey[..., None], 3, axis=2)
    for mask, colour in ((outlined, OUTLINED), (found, FOUND)):
        rgb[mask & ~ndimage.binary_erosion(mask)] = colour
    return rgb
