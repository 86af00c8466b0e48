"""Training volumes on the model's grid, read through the service's own harmonisation (no skew).

NIfTI volumes with labels on the same grid: `medseg9` (1 lung, 2 ground glass, 3 consolidation) and `lung1`
(1 left lung, 2 right lung, 3 tumour: all of it is lung; nobody labelled opacities, so only what is surely free of
them teaches that: `_surely_clear`).
Pictures of slices whose HU are lost: `junma20` (Ma 2020), of which only the ten patients that medseg9 cannot share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from service.imaging.harmonise import AIR_HU, resample_like, to_plane_grid

from .spec import GRID

MEDSEG9 = tuple(f"medseg9/vol{n}" for n in (1, 2, 3, 4, 6, 7, 8, 9))
LUNG1 = ("lung1/LUNG1-001", "lung1/LUNG1-002")
CORONACASES = 312
"""The first pictures of junma20, by name: ten patients of Coronacases. The others come from Radiopaedia, as medseg9
does, and may show its patients; they lie upside down, which tells where they begin."""

_SIDES, _TUMOUR = (1, 2), 3
"""Labels of lung1."""

_SMOOTHED_MM, _DENSE_HU = 5.0, -500.0
"""Lung that is denser than this after smoothing (Gaussian, sigma) may be opacity: a vessel in clear lung is not."""

_APEX_FIRST = ("medseg9/vol1",)
"""Its slices run to the feet although its header says they run to the head (seen in the images)."""


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """One labelled CT on its own grid; labels uint8 as in the files."""

    name: str
    hu: hd.Volume
    labels: NDArray[np.uint8]

    @property
    def lung(self) -> NDArray[np.bool_]:
        """Lungs with everything that belongs to them, opacities and tumour included."""
        return self.labels > 0

    @property
    def opacity(self) -> NDArray[np.bool_] | None:
        """Any opacity, or None where nobody labelled it."""
        return self.labels >= 2 if self.name in MEDSEG9 else None

    @property
    def supervised(self) -> NDArray[np.bool_]:
        """Where it is known whether there is opacity: everywhere if it was labelled."""
        return np.ones(self.labels.shape, np.bool_) if self.name in MEDSEG9 else _surely_clear(self)


@dataclass(frozen=True, slots=True, eq=False)
class Slices:
    """Slices on the model's grid, all arrays (n, size, size).

    hu: int16. below: the slice next to each towards the feet, int16 HU; the same slice where there is none.
    lung, opacity, supervised: uint8 0/1; the last is 1 where it is known whether there is opacity.
    """

    hu: NDArray[np.int16]
    below: NDArray[np.int16]
    lung: NDArray[np.uint8]
    opacity: NDArray[np.uint8]
    supervised: NDArray[np.uint8]


def read(folder: Path, name: str) -> Source:
    """One volume of the training folder, by a name of `MEDSEG9` or `LUNG1`."""
    hu = hd.Volume.from_nibabel(nibabel.load(folder / f"{name}.nii.gz"))
    labels = np.asarray(nibabel.load(folder / f"{name}_label.nii.gz").dataobj).astype(np.uint8)
    if name in _APEX_FIRST:
        hu = hu.with_array(hu.array[:, :, ::-1])
        labels = labels[:, :, ::-1]
    # The service never sees less than air either: padding is air there.
    return Source(name, hu.with_array(np.maximum(hu.array.astype(np.float32), AIR_HU)), labels)


def on_model_grid(source: Source) -> Slices:
    """The volume's slices as the network sees them in service."""
    moved = to_plane_grid(source.hu, GRID)

    def mask(on_source: NDArray[np.bool_]) -> NDArray[np.uint8]:
        percent = source.hu.with_array(on_source.astype(np.uint8) * 100)
        return (resample_like(percent, moved) >= 50).astype(np.uint8)

    lung = mask(source.lung)
    opacity = mask(source.opacity) if source.opacity is not None else np.zeros_like(lung)
    below = np.concatenate([moved.array[1:], moved.array[-1:]])
    return Slices(moved.array, below, lung, opacity, mask(source.supervised))


def _surely_clear(source: Source) -> NDArray[np.bool_]:
    """Of lung1: the lung on the other side of the tumour, but for its dense parts."""
    *sides, tumour = ndimage.center_of_mass(source.lung, source.labels, (*_SIDES, _TUMOUR))
    off = [np.linalg.norm(np.subtract(side, tumour)) for side in sides]
    other = source.labels == _SIDES[int(np.argmax(off))]
    sigma = np.divide(_SMOOTHED_MM, source.hu.spacing)
    clear: NDArray[np.bool_] = other & (ndimage.gaussian_filter(source.hu.array, sigma) < _DENSE_HU)
    return clear


def pictures(folder: Path) -> Slices:
    """The slices of Coronacases in `folder`/junma20, with HU guessed by `guess_hu`; all are supervised.

    Their pixels are about those of the model's grid (256 across a field of view of about 380 mm).
    """
    names = sorted(path.name for path in (folder / "junma20/ct").iterdir())[:CORONACASES]

    def read_all(kind: str) -> NDArray[np.uint8]:
        return np.stack([np.asarray(Image.open(folder / "junma20" / kind / name)) for name in names])

    grey, lung, opacity = read_all("ct"), read_all("lungs") > 0, read_all("covid") > 0
    lung |= opacity
    hu = np.stack([guess_hu(*one) for one in zip(grey, lung, opacity, strict=True)])
    return Slices(hu, hu, lung.astype(np.uint8), opacity.astype(np.uint8), np.ones(hu.shape, np.uint8))


def guess_hu(grey: NDArray[np.uint8], lung: NDArray[np.bool_], opacity: NDArray[np.bool_]) -> NDArray[np.int16]:
    """HU of a contrast-enhanced 8-bit slice, a monotone guess through four tissues everybody has.

    Air around the body is -1024, clear lung -860, soft tissue 40, and the brightest bone 600 HU.
    """
    clear = lung & ~opacity
    outside = grey[~lung]
    soft = outside[outside > (int(np.median(grey[clear])) + int(grey.max())) // 2 - 40]
    known = np.array([np.percentile(grey, 1), np.median(grey[clear]), np.median(soft), grey.max()], float)
    known = np.maximum.accumulate(known + np.arange(4) * 1e-3)  # np.interp wants them to rise
    return np.rint(np.interp(grey, known, [-1024.0, -860.0, 40.0, 600.0])).astype(np.int16)


def load(folder: Path, names: Sequence[str]) -> Slices:
    """All slices of several volumes, one after the other."""
    return joined([on_model_grid(read(folder, name)) for name in names])


def joined(parts: Sequence[Slices]) -> Slices:
    """The slices of several sources, one after the other."""
    return Slices(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Slices)))
