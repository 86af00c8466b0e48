"""Pictures of real tumours (Medical Segmentation Decathlon): 48 x 48 pixels of 2 mm, whose HU are guessed."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SIZE = 48

AIR, MUSCLE = (27.0, -880.0), (242.0, 45.0)
"""Grey value and HU of two peaks of the pooled histogram: clear lung, and muscle. 255 is then 101 HU: what is brighter
is cut off."""


def read(folder: Path) -> tuple[NDArray[np.int16], NDArray[np.bool_]]:
    """HU and tumour of all pictures of `folder`/msd-lung-patches, (picture, row, column)."""
    parts = [np.load(folder / "msd-lung-patches" / f"patches_{half}.npz") for half in "ab"]
    grey, label = (np.concatenate([part[key][:, 0] for part in parts]) for key in ("images", "labels"))
    return guess_hu(grey), label > 0


def guess_hu(grey: NDArray[np.uint8]) -> NDArray[np.int16]:
    """HU, linear through air and muscle."""
    slope = (MUSCLE[1] - AIR[1]) / (MUSCLE[0] - AIR[0])
    return np.rint(AIR[1] + slope * (grey.astype(np.float32) - AIR[0])).astype(np.int16)
