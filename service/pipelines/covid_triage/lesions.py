"""Lesions: connected parts of what the network finds in the lungs, on the grid of the CT, each measured."""

from dataclasses import dataclass

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.imaging.boxes import Box, bounds
from service.imaging.harmonise import reach, resample_like
from service.imaging.lungs import HALF

LEAST_ML = 0.1
"""Smaller connected parts are left out: a ball of it is 5.8 mm wide, hardly two slices of the network's grid, so it
cannot be told from a vessel or from the edge of one."""

_CONNECTED = ndimage.generate_binary_structure(3, 3)
"""Voxels that touch at a corner are of one lesion."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lesion:
    """One lesion. number: from 1, the largest first. lobe: the one that holds most of it. box: on the CT's grid."""

    number: int
    volume_ml: float
    lobe: Lobe
    mean_hu: float
    box: Box

    @property
    def name(self) -> str:
        return f"LESION_{self.number}"


@dataclass(frozen=True, slots=True, eq=False)
class Lesions:
    """All lesions of a CT, the largest first.

    numbers: of the lesion at each voxel, 0 for none; uint16, axes (slice, row, column) of the CT.
    """

    every: tuple[Lesion, ...]
    numbers: NDArray[np.uint16]

    @property
    def mask(self) -> Mask:
        """Voxels of any lesion, axes (slice, row, column) of the CT."""
        return np.asarray(self.numbers > 0)


def find_lesions(ct: CT, probability: hd.Volume, lobe_mask: NDArray[np.uint8]) -> Lesions:
    """The lesions in the lungs. probability: UINT8, 128 = threshold, on the network's grid.

    lobe_mask: labels (`Lobe`) of exactly the lung voxels, axes (slice, row, column) of the CT.
    """
    numbers = np.zeros(lobe_mask.shape, np.uint16)
    likely = probability.array >= HALF
    if not likely.any():
        return Lesions((), numbers)
    box = reach(probability[bounds(likely, (0, 0, 0))], ct.volume)
    lobes, hu = lobe_mask[box], ct.volume.array[box]
    found = (resample_like(probability, ct.volume[box]) >= HALF) & (lobes > 0)
    pieces, count = ndimage.label(found, _CONNECTED)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    kept = np.flatnonzero(sizes * ct.voxel_ml >= LEAST_ML)
    kept = kept[np.argsort(-sizes[kept], kind="stable")][: np.iinfo(np.uint16).max]
    renumber = np.zeros(count + 1, np.uint16)
    renumber[kept] = np.arange(1, len(kept) + 1)
    numbers[box] = renumber[pieces]
    return Lesions(tuple(_measured(numbers[box], lobes, hu, ct.voxel_ml, box)), numbers)


def _measured(
    numbers: NDArray[np.uint16], lobes: NDArray[np.uint8], hu: NDArray[np.float32], voxel_ml: float, box: Box
) -> list[Lesion]:
    """Every lesion in a box of the CT, by number."""
    some = numbers > 0
    of_lesion, size = numbers[some].astype(np.int64), len(Lobe) + 1
    count = int(of_lesion.max(initial=0)) + 1
    in_lobes = np.bincount(of_lesion * size + lobes[some], minlength=count * size).reshape(count, size)
    sums = np.bincount(of_lesion, hu[some], minlength=count)
    voxels = in_lobes.sum(1)
    return [
        Lesion(
            number=number,
            volume_ml=float(voxels[number] * voxel_ml),
            lobe=Lobe(int(in_lobes[number].argmax())),
            mean_hu=float(sums[number] / voxels[number]),
            box=_moved(place, box),
        )
        for number, place in enumerate(ndimage.find_objects(numbers), 1)
    ]


def _moved(place: Box, by: Box) -> Box:
    """A box within the box `by`, on the grid that `by` is of."""
    return tuple(
        slice(part.start + other.start, part.stop + other.start) for part, other in zip(place, by, strict=True)
    )
