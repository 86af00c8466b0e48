"""Pictures of found lobes with drawn fissures over them, for the model card."""

from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from service.domain.anatomy import Lobe
from service.imaging.lungs import Side

from .truth import Truth

PALETTE = {
    Lobe.RUL: (86, 180, 233),
    Lobe.RML: (240, 228, 66),
    Lobe.RLL: (0, 158, 115),
    Lobe.LUL: (204, 121, 167),
    Lobe.LLL: (213, 94, 0),
}
"""Okabe-Ito: told apart by the colour-blind."""

_OUTSIDE = (0.25, 0.6)
"""Where each lung is cut: this part of it lies farther out."""

_PIXEL_MM = 1.4
_GAP = 8


def overlay(truth: Truth, found: NDArray[np.uint8], path: Path) -> None:
    """Sagittal cuts, the front to the left: found lobes in colour, drawn fissures in black."""
    cuts = []
    for side in Side:
        volume = np.cumsum(np.count_nonzero(truth.lungs.on_source == side, (0, 1)))
        parts = _OUTSIDE if side == Side.RIGHT else [1.0 - part for part in reversed(_OUTSIDE)]
        cuts += [_cut(truth, found, int(np.searchsorted(volume, part * volume[-1]))) for part in parts]
    height = max(cut.shape[0] for cut in cuts)
    padded = [np.pad(c, ((0, height - len(c)), (0, _GAP), (0, 0)), constant_values=255) for c in cuts]
    Image.fromarray(np.concatenate(padded, 1)).quantize(64).save(path, optimize=True)


def _cut(truth: Truth, found: NDArray[np.uint8], column: int) -> NDArray[np.uint8]:
    """One sagittal slice as colours, pixels of `_PIXEL_MM`."""
    colours = np.full((len(Lobe) + 1, 3), 255, np.uint8)
    for lobe, colour in PALETTE.items():
        colours[lobe] = colour
    picture = colours[found[:, :, column]]
    for points in truth.fissures.values():
        index = _to_index(truth.ct, points)
        row, col = index[np.abs(index[:, 2] - column) < 1.0, :2].round().astype(int).T
        picture[row, col] = 0
    size = [round(n * mm / _PIXEL_MM) for n, mm in zip(picture.shape[:2], truth.ct.spacing[:2], strict=True)]
    return np.asarray(Image.fromarray(picture).resize((size[1], size[0]), Image.Resampling.NEAREST))


def _to_index(grid: hd.Volume, points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((points - grid.affine[:3, 3]) @ np.linalg.inv(grid.affine[:3, :3]).T)
