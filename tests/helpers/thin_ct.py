"""A CT with thinner slices than the one that it is made of: slices in between are interpolated."""

from copy import deepcopy
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def thinner(folder: Path, out: Path, factor: int, slices: int | None = None) -> Path:
    """Write the axial CT of `folder` with `factor - 1` slices in between each two, uncompressed.

    slices: so many of the CT, from its feet; None: all. Returns `out`.
    """
    every = sorted((dcmread(path) for path in folder.rglob("*.dcm")), key=_height_mm)[:slices]
    out.mkdir(parents=True)
    apart_mm = (_height_mm(every[1]) - _height_mm(every[0])) / factor
    series_uid = generate_uid(entropy_srcs=[every[0].SeriesInstanceUID, str(factor)])
    pixels = [one.pixel_array.astype(np.float32) for one in every]
    for number in range((len(every) - 1) * factor + 1):
        below, part = divmod(number, factor)
        between = pixels[below] + (part / factor) * (pixels[min(below + 1, len(every) - 1)] - pixels[below])
        one = _slice(every[below], np.rint(between), series_uid, number)
        x, y, first_mm = every[0].ImagePositionPatient
        one.SliceThickness, one.ImagePositionPatient = apart_mm, [x, y, first_mm + number * apart_mm]
        one.save_as(out / f"{number:04}.dcm", enforce_file_format=True)
    return out


def _slice(like: Dataset, stored: np.ndarray, series_uid: str, number: int) -> Dataset:
    one = Dataset({element.tag: deepcopy(element) for element in like if element.keyword != "PixelData"})
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = like.SOPClassUID
    one.SeriesInstanceUID = series_uid
    one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[series_uid, str(number)])
    one.InstanceNumber = number + 1
    one.PixelData = stored.astype(np.int16 if like.PixelRepresentation else np.uint16).tobytes()
    one["PixelData"].VR = "OW"
    return one


def _height_mm(one: Dataset) -> float:
    return float(one.ImagePositionPatient[2])
