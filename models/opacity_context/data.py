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
from models.lung_opacity import noise_floor
from models.lung_opacity.noise_floor import LIDC_1, LIDC_2, LIDC_3, NORMAL, RIDER
from models.repository import ROOT
from service.domain.ct import CT
from service.imaging.harmonise import resample_like, to_plane_grid
from service.inference.onnx import OnnxBackend
from service.pipelines.shared.lungs import lungs_of, slice_answers

from .spec import GRID, SLICE_MM

MEDSEG9, LUNG1 = single.MEDSEG9, single.LUNG1
LABELLED = (*MEDSEG9, *LUNG1)
CLEAR = {series.name: series for series in (NORMAL, RIDER, LIDC_1, LIDC_2, LIDC_3)}
"""CTs without pneumonia, by name."""

CTS = (*LABELLED, *CLEAR)

CONSISTENT = ("medseg9/vol1", "medseg9/vol2", "medseg9/vol3")
"""Volumes whose labels of consolidation follow attenuation (docs/decisions/0066)."""

_LESION_MM = 40.0
"""Nearer to a known lesion nobody knows what is opacity."""

_DOME_MM = 30.0


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
    spacing = source.hu.to_patient_orientation("FPL").spacing
    mm = (float(spacing[0]), GRID.spacing_mm, GRID.spacing_mm)
    return Stack(name, mm, slices.hu, slices.lung, slices.opacity, slices.supervised)


def clear(data: Path, name: str) -> Stack:
    """A CT of `CLEAR` in `data`, which holds dicom/ and train/."""
    series = CLEAR[name]
    ct = noise_floor.load(data, series)
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
    """The lungs that the released network finds; 0 or 1 on the CT's grid."""
    backend = OnnxBackend(ROOT)
    answers = slice_answers(ct, backend, lambda done: None)
    return (lungs_of(ct, answers, backend, lambda done: None).on_source > 0).astype(np.uint8)


def at_domes(lung: NDArray[np.uint8], slice_mm: float) -> NDArray[np.bool_]:
    """The lung within 30 mm above where it ends towards the feet, column by column; axes (slice, row, column)."""
    reach = max(1, round(_DOME_MM / slice_mm))
    inside = lung > 0
    below = np.zeros_like(inside)
    # Soft tissue below, not the edge of the image: the lung's lowest voxel of each column, unless it is the last slice.
    ends = inside.copy()
    ends[:-1] &= ~inside[1:]
    ends[-1] = False
    for k in range(reach):
        below[: len(inside) - k] |= ends[k:]
    return np.asarray(below & inside)


def read(data: Path, names: Sequence[str] = ()) -> dict[str, Stack]:
    """Stacks of several CTs, all of `CTS` by default, at least `SLICE_MM` from slice to slice."""
    return {name: _one(data, name) for name in names or CTS}


def _one(data: Path, name: str) -> Stack:
    stack = labelled(data / "train", name) if name in LABELLED else clear(data, name)
    count = group(stack.spacing_mm[0])
    return stack if count == 1 else thicker(stack, count)


def group(slice_mm: float) -> int:
    """How many slices are averaged before the network sees them."""
    return max(1, int(np.ceil(SLICE_MM / slice_mm - 1e-3)))


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
