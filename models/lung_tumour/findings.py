"""What the released model finds in a CT, by the functions of the service, on the CT's own grid."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.ct import CT
from service.domain.ports import Backend
from service.imaging.harmonise import resample_like
from service.imaging.lungs import HALF
from service.pipelines.nsclc_gtv.field_grid import field_grid
from service.pipelines.shared.stacks import infer_stacks

from .spec import SPEC

_CONNECTED = ndimage.generate_binary_structure(3, 3)

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Connected voxels above the threshold. peak: the greatest probability in it, 0-1, the threshold at 0.5.

    mask: axes (slice, row, column) of the CT.
    """

    ml: float
    peak: float
    mask: Mask


def pieces(ct: CT, backend: Backend) -> list[Piece]:
    """Every piece of at least 0.05 mL, the largest first; also those that the detection rule leaves out."""
    spec = backend.spec(SPEC.name)
    grid = field_grid(ct, spec)
    said = infer_stacks(grid.hu.array, grid.field.inside, spec, backend)[0]
    inside = np.where(grid.field.inside, said, np.uint8(0))
    on_source = resample_like(grid.hu.with_array(inside), ct.volume)
    labels, count = ndimage.label(on_source >= HALF, _CONNECTED)
    numbers = np.arange(1, count + 1)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:] * ct.voxel_ml
    peaks = ndimage.maximum(on_source, labels, numbers) if count else np.zeros(0)
    order = [k for k in np.argsort(-sizes, kind="stable") if sizes[k] >= 0.05]
    return [Piece(float(sizes[k]), float(peaks[k]) / 255.0, labels == numbers[k]) for k in order]


def found(every: list[Piece]) -> list[Piece]:
    """Return the pieces that are findings by the rule of the spec."""
    least_ml, least_peak = SPEC.measured["least_ml"], SPEC.measured["least_peak"]
    return [piece for piece in every if piece.ml >= least_ml and piece.peak >= least_peak]
