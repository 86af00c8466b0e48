"""CTs that are read as the service reads them, and the lesions known in them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import highdicom as hd
import nibabel
import numpy as np
from pydicom import dcmread

from models.lung_opacity.data import MEDSEG9, read
from service.domain.ct import CT
from service.imaging.harmonise import AIR_HU, MODEL_ORIENTATION
from service.imaging.read import read_ct

Point = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """One case. path: below the data folder. every: of all slices, from `first` on.

    lesions: points inside each known lesion, LPS mm, seen in the images. Opacity that touches one is not false.
    """

    path: str
    pneumonia: bool
    lesions: tuple[Point, ...] = ()
    every: int = 1
    first: int = 0

    @property
    def halves(self) -> Iterator["Series"]:
        for first in (0, 1):
            yield Series(self.path, self.pneumonia, self.lesions, 2, first)

    @property
    def name(self) -> str:
        half = f", {('even', 'odd')[self.first]} slices" if self.every == 2 else ""
        return self.path.removeprefix("dicom/").removeprefix("train/").removesuffix(".nii.gz") + half


NORMAL = Series("dicom/covid-ct-md/normal001", False)
RIDER = Series("dicom/rider-lung", False, ((-51.5, 56.3, -121.3),))
LIDC_1 = Series("dicom/lidc/LIDC-IDRI-0001", False, ((50.6, 87.1, -115.0),))
LIDC_2 = Series("train/lidc/LIDC-IDRI-0002.nii.gz", False)
LIDC_3 = Series("dicom/lidc/LIDC-IDRI-0003", False, ((-82.8, 68.9, -91.5), (71.4, 78.7, -189.0)))
P001, CAP001 = (Series(f"dicom/covid-ct-md/{name}", True) for name in ("P001", "cap001"))


def load(data: Path, series: Series) -> CT:
    """The CT. A slice of air is put at both ends of a NIfTI volume, which may hold a part of the lungs only."""
    if series.path.startswith("dicom/"):
        headers = [dcmread(path) for path in (data / series.path).glob("*.dcm")]
        headers.sort(key=lambda header: float(header.ImagePositionPatient[2]))
        return read_ct(headers[series.first :: series.every])
    if series.name in MEDSEG9:
        volume = read(data / "train", series.name).hu
    else:
        volume = hd.Volume.from_nibabel(nibabel.load(data / series.path))
        volume = volume.with_array(np.maximum(volume.array.astype(np.float32), AIR_HU))
    ends = [(1, 1), (0, 0), (0, 0)]
    return CT((), volume.to_patient_orientation(MODEL_ORIENTATION).pad(ends, constant_value=AIR_HU))
