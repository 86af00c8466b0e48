"""Prepared volumes, and the one file that holds them: all that a training reads.

The file is small enough to be carried to a machine that has a GPU and nothing else: of HU only a margin around the
lungs is kept, in steps of 16.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

AIR_HU = -1024

MARGIN_MM = 4.0
"""HU are kept this far around the lungs: training grows the masks of lungs by less."""

_STEP_HU = 16

_SOME = 20_000

_LUNG, _LESION, _KNOWN = 1, 2, 4

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Volume:
    """One CT on the network's grid, axes (slice to F, row to P, column to L), cropped to the lungs and a margin.

    hu: int16, air further than `MARGIN_MM` from the lungs. lung, lesion, known: bool; known is where it is known
    whether there is a lesion.
    """

    name: str
    hu: NDArray[np.int16]
    lung: Mask
    lesion: Mask
    known: Mask


def save(volumes: Iterable[Volume], path: Path) -> None:
    """Write one file; HU are rounded to steps of 16."""
    arrays: dict[str, NDArray[np.generic]] = {}
    names = []
    for volume in volumes:
        names.append(volume.name)
        arrays[f"hu {volume.name}"] = np.rint((volume.hu - AIR_HU) / _STEP_HU).astype(np.uint8)
        bits = _LUNG * volume.lung + _LESION * volume.lesion + _KNOWN * volume.known
        arrays[f"masks {volume.name}"] = bits.astype(np.uint8)
        print(volume.name, volume.hu.shape, f"lesion {volume.lesion.mean():.4f}", flush=True)
    with path.open("wb") as file:
        np.savez_compressed(file, names=np.array(names), **arrays)


def load(path: Path) -> dict[str, Volume]:
    """What `save` wrote, by name."""
    volumes = {}
    with np.load(path) as file:
        for name in file["names"].tolist():
            bits = file[f"masks {name}"]
            hu = file[f"hu {name}"].astype(np.int16) * _STEP_HU + AIR_HU
            volumes[name] = Volume(name, hu, bits & _LUNG > 0, bits & _LESION > 0, bits & _KNOWN > 0)
    return volumes


def voxels_of(mask: Mask) -> NDArray[np.int64]:
    """Up to `_SOME` voxels of a mask, evenly taken, (n, 3)."""
    found = np.argwhere(mask)
    return found[:: max(1, len(found) // _SOME)]
