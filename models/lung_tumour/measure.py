"""How good the network is on CTs that it does not learn, on its own grid."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import nn

from service.imaging.harmonise import AIR_HU

from .data import Volume, on_grid, read
from .network import Name, image
from .series import RIDER, UNSEEN, load
from .spec import REACH, SPEC

OUTLINES = Path("dicom/rider-lung-tumour/tumour_manual.nii.gz")

_BATCH = 8

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Unseen:
    """A CT to measure on. hu: int16, air outside the lung field. truth, known: (slice, row, column) of it."""

    name: str
    hu: NDArray[np.int16]
    truth: Mask
    known: Mask
    voxel_ml: float


def unseen(data: Path, held_out: Iterable[Volume] = ()) -> list[Unseen]:
    """CTs of `UNSEEN`, and others that are not learned."""
    found = [_of(read(data, name), None) for name in UNSEEN if name != RIDER.name]
    return [_of(read(data, RIDER.name), outlined(data)), *found, *(_of(volume, None) for volume in held_out)]


def outlined(data: Path) -> Mask:
    """RIDER's tumour as an expert outlined it, on the model's grid."""
    from service.pipelines.shared.slices import plane_grid_of

    mask = hd.Volume.from_nibabel(nibabel.load(data / OUTLINES))
    return on_grid(mask.with_array((mask.array > 0).astype(np.uint8)), plane_grid_of(load(data, RIDER), SPEC))


def _of(volume: Volume, truth: Mask | None) -> Unseen:
    hu = np.where(volume.edge > 0, volume.hu, np.int16(AIR_HU))
    tumour = volume.tumour if truth is None else truth
    known = volume.known if truth is None else np.ones_like(tumour)
    return Unseen(volume.name, hu, tumour, known, float(np.prod(volume.spacing_mm)) / 1000.0)


@torch.no_grad()
def probabilities(network: nn.Module, name: Name, hu: NDArray[np.int16]) -> NDArray[np.float32]:
    """What the network makes of every slice, 0-1; shape of `hu`."""
    network.eval()
    where = next(network.parameters()).device
    padded = np.pad(hu, ((REACH, REACH), (0, 0), (0, 0)), mode="edge")
    found = np.zeros(hu.shape, np.float32)
    lung = np.flatnonzero((hu > AIR_HU).any((1, 2)))
    for k in range(0, len(lung), _BATCH):
        some = lung[k : k + _BATCH]
        stacks = torch.from_numpy(np.stack([padded[z : z + 2 * REACH + 1] for z in some]))
        images = image(stacks.to(where), name).contiguous(memory_format=torch.channels_last)
        found[some] = torch.sigmoid(network(images))[:, 0].cpu().numpy()
    return found


def measured(network: nn.Module, name: Name, case: Unseen) -> dict[str, float]:
    """At probability 0.5: Dice of the largest piece where there is a tumour, and mL of false tumour."""
    found = probabilities(network, name, case.hu) >= 0.5
    pieces, count = ndimage.label(found)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    largest = (pieces == sizes.argmax()) & found
    touching = np.isin(pieces, np.unique(pieces[case.truth & found])) & found
    false = found & ~touching & case.known
    result = {"false ml": round(float(false.sum()) * case.voxel_ml, 2)}
    if case.truth.any():
        both = 2.0 * np.count_nonzero(largest & case.truth)
        result["dice"] = round(both / max(1, np.count_nonzero(largest) + np.count_nonzero(case.truth)), 4)
        result["ml"] = round(float(largest.sum()) * case.voxel_ml, 1)
        result["true ml"] = round(float(case.truth.sum()) * case.voxel_ml, 1)
    return result
