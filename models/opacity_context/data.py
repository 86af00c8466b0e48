"""Training volumes as stacks of slices on the model's grid, read through the service's own harmonisation (no skew).

Labelled: `medseg9` and `lung1`, as for `models.lung_opacity`. Without opacity: CTs of patients without pneumonia, whose
lungs the released network finds; around a known lesion nothing is known. They teach what domes, dependent lung, hila
and airways look like. Pictures (`junma20`) have no neighbours; they teach the main branch only.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray

from models.lung_opacity import data as single
from models.repository import ROOT
from service.domain.ct import CT
from service.imaging.harmonise import MODEL_ORIENTATION, resample_like, slices_in_one, to_plane_grid
from service.inference.onnx import OnnxBackend
from service.pipelines.shared.domes import at_domes
from service.pipelines.shared.lungs import slice_answers, without_dense_lung

from .series import LIDC_1, LIDC_2, LIDC_3, NORMAL, RIDER, load
from .spec import GRID

MEDSEG9, LUNG1 = single.MEDSEG9, single.LUNG1
LABELLED = (*MEDSEG9, *LUNG1)
CLEAR = {series.name: series for series in (NORMAL, RIDER, LIDC_1, LIDC_2, LIDC_3)}
"""CTs without pneumonia, by name."""

CTS = (*LABELLED, *CLEAR)

_LESION_MM = 40.0
"""Nearer to a known lesion nobody knows what is opacity."""


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """Slices of one CT, head to feet. hu: int16 (slice, row, column). lung, opacity, supervised: uint8 0/1, same shape;
    supervised is 1 where it is known whether there is opacity."""

    name: str
    spacing_mm: tuple[float, float, float]
    hu: NDArray[np.int16]
    lung: NDArray[np.uint8]
    opacity: NDArray[np.uint8]
    supervised: NDArray[np.uint8]


def grouped(array: NDArray[np.generic], count: int) -> NDArray[np.float32]:
    """Averages of each `count` slices; the last may be of fewer."""
    parts = [array[k : k + count].mean(0, dtype=np.float32) for k in range(0, len(array), count)]
    return np.stack(parts)


def thicker(stack: Stack, count: int) -> Stack:
    """The same CT with slices `count` times as thick; a voxel is what most of it is."""
    z, *plane = stack.spacing_mm
    lung, opacity, supervised = (
        (grouped(mask, count) >= 0.5).astype(np.uint8) for mask in (stack.lung, stack.opacity, stack.supervised)
    )
    hu = np.rint(grouped(stack.hu, count)).astype(np.int16)
    return Stack(stack.name, (count * z, plane[0], plane[1]), hu, lung, opacity, supervised)


def thinner(stack: Stack) -> Stack:
    """The same CT with a slice between each two, halfway between them: what a thinner reconstruction may look like."""

    def between(array: NDArray[np.generic]) -> NDArray[np.float32]:
        values = array.astype(np.float32)
        out = np.empty((2 * len(values) - 1, *values.shape[1:]), np.float32)
        out[::2], out[1::2] = values, (values[1:] + values[:-1]) / 2
        return out

    z, *plane = stack.spacing_mm
    lung, opacity, supervised = (
        (between(mask) >= limit).astype(np.uint8)
        for mask, limit in ((stack.lung, 0.5), (stack.opacity, 0.5), (stack.supervised, 1.0))
    )
    hu = np.rint(between(stack.hu)).astype(np.int16)
    return Stack(stack.name, (z / 2, plane[0], plane[1]), hu, lung, opacity, supervised)


def labelled(folder: Path, name: str) -> Stack:
    """A volume of `LABELLED` in `folder`, which holds medseg9/ and lung1/."""
    source = single.read(folder, name)
    slices = single.on_model_grid(source)
    spacing = source.hu.to_patient_orientation(MODEL_ORIENTATION).spacing
    mm = (float(spacing[0]), GRID.spacing_mm, GRID.spacing_mm)
    return Stack(name, mm, slices.hu, slices.lung, slices.opacity, slices.supervised)


def clear(data: Path, name: str) -> Stack:
    """A CT of `CLEAR` in `data`, which holds dicom/ and train/."""
    series = CLEAR[name]
    ct = load(data, series)
    grid = to_plane_grid(ct.volume, GRID)
    lung = (resample_like(ct.volume.with_array(_lungs(ct) * np.uint8(100)), grid) >= 50).astype(np.uint8)
    known = np.ones(grid.spatial_shape, np.bool_)
    for lesion in series.lesions:
        known &= ~ball(grid, lesion, _LESION_MM)
    mm = (float(grid.spacing[0]), GRID.spacing_mm, GRID.spacing_mm)
    return Stack(name, mm, grid.array, lung, np.zeros_like(lung), known.astype(np.uint8))


def ball(grid: hd.Volume, centre: tuple[float, float, float], radius_mm: float) -> NDArray[np.bool_]:
    """Voxels within a ball. centre: LPS mm."""
    at = grid.map_reference_to_indices(np.array([centre]))[0]
    axes = np.ogrid[tuple(slice(size) for size in grid.spatial_shape)]
    squares = [((axis - a) * mm) ** 2 for axis, a, mm in zip(axes, at, grid.spacing, strict=True)]
    return np.asarray(squares[0] + squares[1] + squares[2] <= radius_mm**2)


def _lungs(ct: CT) -> NDArray[np.uint8]:
    """The lungs that the released `lung-opacity` finds; 0 or 1 on the CT's grid."""
    backend = OnnxBackend(ROOT)
    answers = slice_answers(ct, backend, lambda done: None)
    return (without_dense_lung(ct, answers, backend, lambda done: None).on_source > 0).astype(np.uint8)


def domes_of(stack: Stack) -> NDArray[np.bool_]:
    """The lung near the diaphragm."""
    return at_domes(stack.lung > 0, stack.spacing_mm[0])


def read(data: Path, names: Sequence[str] = ()) -> dict[str, Stack]:
    """Stacks of several CTs, all of `CTS` by default, with slices as far apart as the network sees them."""
    return {name: _one(data, name) for name in names or CTS}


def _one(data: Path, name: str) -> Stack:
    if name in CLEAR:
        return clear(data, name)
    stack = labelled(data / "train", name)
    count = slices_in_one(stack.spacing_mm[0], GRID.slice_mm)
    return stack if count == 1 else thicker(stack, count)


def variants(stack: Stack) -> Iterator[Stack]:
    """The stack as scanners with other slices would show it."""
    yield stack
    if stack.spacing_mm[0] < 3.5:
        yield thicker(stack, 2)
    elif stack.spacing_mm[0] > 5.5:
        yield thinner(stack)


def pictures(folder: Path) -> Stack:
    """The pictures of junma20 as one stack, of slices that are no neighbours."""
    slices = single.pictures(folder)
    return Stack(
        "junma20", (0.0, GRID.spacing_mm, GRID.spacing_mm), slices.hu, slices.lung, slices.opacity, slices.supervised
    )
