"""Real slices to compare a converted network with its original on."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from service.errors import Permanent
from service.imaging.body_crop import to_body_crops
from service.imaging.read import read_ct
from service.store.dicom_folder import scan

COUNT = 8


def body_crops(folder: Path, size: int, window_hu: tuple[int, int]) -> NDArray[np.int16]:
    """`COUNT` slices of the largest CT series in a folder, evenly from end to end, (slice, 1, size, size).

    Permanent if there is no series of that many slices; Rejected if it cannot be read.
    """
    series = max(scan([folder]), key=lambda one: len(one.paths), default=None)
    if series is None or len(series.paths) < COUNT:
        raise Permanent(f"{folder} holds no CT series of at least {COUNT} slices.")
    volume = read_ct([dcmread(path) for path in series.paths]).volume
    step = volume.spatial_shape[0] // COUNT
    crops = to_body_crops(volume[step // 2 :: step], size, window_hu)
    return np.stack([crop.array for crop in crops[:COUNT]])
