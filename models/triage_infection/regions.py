"""Regions around lesions, as the classifier sees them, cut out of prepared volumes (`models.triage_lesion.volumes`).

A CT's class is that of its patient. In CTs without infection a lesion is whatever is dense in the lungs: vessels,
nodules, tumours and dependent lung, which a network for lesions may take for one.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Generator, Tensor

from models.triage_lesion.augment import placed
from models.triage_lesion.spec import SPACING_MM
from models.triage_lesion.volumes import AIR_HU, Mask, Volume, voxels_of

from .spec import MARGIN_MM, REGION

COVID, OTHER, NONE = range(3)
"""Indices of `spec.CLASSES`."""

LEAST_ML = 0.1
"""Smaller lesions are not classified."""

MOST = 20
"""Lesions of one CT, the largest first."""

_DENSE_HU, _SMOOTHED_MM = -650.0, 2.5
"""What is denser than this after smoothing (Gaussian, sigma) counts as a lesion in a CT without infection."""

_PIECE_MM = 40.0


def class_of(name: str) -> int:
    """The class of a CT of `models.triage_lesion.data`, by its name."""
    if name.startswith("medseg9/") or name == "covid-ct-md/P001":
        return COVID
    return OTHER if name == "covid-ct-md/cap001" else NONE


def lesions_of(volume: Volume) -> NDArray[np.uint8]:
    """Each lesion of at least `LEAST_ML` has a number, 1 for the largest; same axes as the volume."""
    there = volume.lesion if class_of(volume.name) != NONE else dense(volume)
    parts, _ = ndimage.label(there & volume.lung, np.ones((3, 3, 3)))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    order = np.argsort(-sizes, kind="stable")[:MOST]
    numbers = np.zeros(len(sizes), np.uint8)
    for number, part in enumerate(order[sizes[order] * np.prod(SPACING_MM) / 1000.0 >= LEAST_ML], start=1):
        numbers[part] = number
    return numbers[parts]


def dense(volume: Volume) -> Mask:
    """Dense lung, in pieces of at most `_PIECE_MM`: without cuts the tree of vessels would be one piece."""
    sigma = np.divide(_SMOOTHED_MM, SPACING_MM)
    hu = np.where(volume.lung, volume.hu, AIR_HU).astype(np.float32)
    found = (ndimage.gaussian_filter(hu, sigma) > _DENSE_HU) & volume.lung
    for axis, mm in enumerate(SPACING_MM):
        np.moveaxis(found, axis, 0)[:: round(_PIECE_MM / mm)] = False
    return np.asarray(found)


@dataclass(frozen=True, slots=True, eq=False)
class Patient:
    """A CT where the network computes. hu: int16. lung: uint8 0/1. lesions: of `lesions_of`. boxes: centre and side of
    the bounding box of each lesion, in voxels; lung_at: voxels of lung, (n, 3); both on the CPU."""

    name: str
    label: int
    hu: Tensor
    lung: Tensor
    lesions: Tensor
    boxes: list[tuple[Tensor, Tensor]]
    lung_at: Tensor

    @classmethod
    def of(cls, volume: Volume, where: torch.device) -> Self:
        lesions = lesions_of(volume)
        boxes = []
        for found in ndimage.find_objects(lesions):
            low, high = (torch.tensor([getattr(part, end) for part in found]) for end in ("start", "stop"))
            boxes.append(((low + high - 1) / 2.0, (high - low).float()))
        hu, lung, numbers = (torch.from_numpy(a).to(where) for a in (volume.hu, volume.lung.astype(np.uint8), lesions))
        return cls(
            volume.name, class_of(volume.name), hu, lung, numbers, boxes, torch.from_numpy(voxels_of(volume.lung))
        )

    def region(
        self, number: int, margin_mm: float = MARGIN_MM, pan: Tensor | None = None, random: Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """HU and masks (lung, lesion) around lesion `number`, 0 first; of shape `REGION`.

        pan: of the box, as part of its sides. random: see `models.triage_lesion.augment.placed`.
        """
        centre, side = self.boxes[number]
        box = side + 2 * margin_mm / torch.tensor(SPACING_MM)
        masks = torch.stack([self.lung, (self.lesions == number + 1).to(torch.uint8)])
        middle = centre if pan is None else centre + pan * box
        return placed(self.hu, masks, middle, REGION, box / torch.tensor(REGION), random)
