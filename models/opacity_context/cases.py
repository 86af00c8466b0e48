"""CTs on which the network is measured: labelled ones, ones without pneumonia, and the same as in shallow breathing."""

from dataclasses import dataclass, replace
from pathlib import Path

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from models.lung_opacity import data as single
from service.domain.ct import CT
from service.imaging.harmonise import AIR_HU, MODEL_ORIENTATION

from .data import CLEAR, LUNG1, MEDSEG9, ball
from .series import load

LESION_MM = 40.0
"""Nearer to a known lesion nobody knows what is opacity."""

_TUMOUR = 3
_SOFT_HU = 40.0

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """opacity: labelled; nothing where there is no pneumonia. known: where it is known whether there is opacity.
    lung: as labelled, None where nobody labelled it. All (slice, row, column) of `ct`."""

    ct: CT
    opacity: Mask
    known: Mask
    lung: Mask | None


def read(data: Path, name: str) -> Case:
    """A case by its name. data: folder with train/ and dicom/."""
    return _clear(data, name) if name in CLEAR else _labelled(data, name)


def _clear(data: Path, name: str) -> Case:
    series = CLEAR[name]
    ct = load(data, series)
    known = np.ones(ct.volume.spatial_shape, np.bool_)
    for lesion in series.lesions:
        known &= ~ball(ct.volume, lesion, LESION_MM)
    return Case(ct, np.zeros_like(known), known, None)


def _labelled(data: Path, name: str) -> Case:
    """A slice of air is put at both ends: the service would refuse the volumes that hold a part of the lungs only."""
    assert name in (*MEDSEG9, *LUNG1)
    source = single.read(data / "train", name)

    def oriented(array: NDArray[np.generic], outside: float) -> hd.Volume:
        volume = source.hu.with_array(array).to_patient_orientation(MODEL_ORIENTATION)
        return volume.pad([(1, 1), (0, 0), (0, 0)], constant_value=outside)

    ct = CT((), oriented(source.hu.array, AIR_HU))
    labels = oriented(source.labels, 0).array
    if source.opacity is None:
        off_mm = ndimage.distance_transform_edt(labels != _TUMOUR, sampling=ct.volume.spacing)
        return Case(ct, np.zeros(labels.shape, np.bool_), off_mm > LESION_MM, labels > 0)
    return Case(ct, labels >= 2, np.ones(labels.shape, np.bool_), labels > 0)


def breathed_out(case: Case, lung: Mask, part: float) -> Case:
    """The case as in shallow breathing: the lung's back is `part` of the way to soft tissue, its front a tenth of that.

    0.4 gives the gradient from -805 to -480 HU. Labels stay. lung: (slice, row, column).
    """
    rows = lung.any((0, 2)) * np.ones(lung.shape[1])
    depth = (np.cumsum(rows) / max(1.0, rows.sum()))[None, :, None]
    hu = case.ct.volume.array
    share = part * (0.1 + 0.9 * depth**1.5) * lung
    denser = (hu + share * (np.maximum(hu, _SOFT_HU) - hu)).astype(np.float32)
    return replace(case, ct=CT((), case.ct.volume.with_array(denser)))
