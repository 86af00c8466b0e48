"""What the network learns from: lungs and their lobes in the boxes in which the service shows lungs.

41 patients of LUNA16 with masks of five lobes (Tang 2019) and no CT.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.lobes.spec import SIZE
from models.lobes.truth import lungs_of, read_luna16
from service.domain.anatomy import Lobe
from service.imaging.harmonise import resample_like
from service.imaging.lobes import LOBES_OF, lung_boxes


@dataclass(frozen=True, slots=True, eq=False)
class Boxes:
    """Patients by name; UINT8, 255 inside.

    lungs: (patient, side, slice, row, column). lobes: (patient, `Lobe` in order, ...), each in the box of its side.
    """

    names: tuple[str, ...]
    lungs: Tensor
    lobes: Tensor

    @classmethod
    def read(cls, folder: Path) -> Self:
        """All patients of luna16-lobes."""
        paths = sorted(folder.glob("case*.nii.gz"))
        seen = [_boxes(path) for path in paths]
        lungs, lobes = (torch.from_numpy(np.stack(part)) for part in zip(*seen, strict=True))
        return cls(tuple(path.name.partition(".")[0] for path in paths), lungs, lobes)

    def of(self, names: tuple[str, ...]) -> Self:
        """Only these patients; SystemExit for an unknown name."""
        if unknown := sorted(set(names) - set(self.names)):
            raise SystemExit(f"no such patient: {', '.join(unknown)}; there are {', '.join(self.names)}")
        rows = [self.names.index(name) for name in names]
        return type(self)(names, self.lungs[rows], self.lobes[rows])


def _boxes(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    truth = read_luna16(path)
    boxes = lung_boxes(lungs_of(truth).on_model, SIZE)
    inside = {
        lobe: resample_like(truth.with_array((truth.array == lobe) * np.uint8(255)), boxes[side])
        for side, lobes in LOBES_OF.items()
        for lobe in lobes
    }
    return np.stack([boxes[side].array for side in LOBES_OF]), np.stack([inside[lobe] for lobe in Lobe])
