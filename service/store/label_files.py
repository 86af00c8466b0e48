"""Label maps from files: NIfTI, and DICOM Segmentation (BINARY or LABELMAP) of any maker."""

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from highdicom.seg import Segmentation, SegmentationTypeValues
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import SegmentationStorage

from service.domain.dicom_file import beginning
from service.domain.unparsable import UNPARSABLE
from service.errors import Permanent, Rejected
from service.imaging.labels import Labels, Mask
from service.imaging.lattice import placement
from service.store.dicom_folder import read_whole

LabelValues = NDArray[np.uint8] | NDArray[np.uint16]

NIFTI = (".nii", ".nii.gz")
_LABEL_MAP_SEGMENTATION_STORAGE = "1.2.840.10008.5.1.4.1.1.66.7"
_MAX_LABEL = 65535
_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
_INVALID = (*UNPARSABLE, RuntimeError)
"""What highdicom raises where a Segmentation of another maker breaks the Standard."""


class NotALabelMap(Permanent):
    """The file cannot be read as labels on a 3D grid."""


def read_labels(path: Path) -> Labels:
    """The labels of a file. NotALabelMap, in words, if it holds anything else."""
    return _nifti(path) if path.name.lower().endswith(NIFTI) else _segmentation(path)


def is_label_file(path: Path) -> bool:
    """By name for NIfTI, by SOP Class for DICOM."""
    if path.name.lower().endswith(NIFTI):
        return True
    try:
        with path.open("rb") as file:
            header = beginning(file, ["SOPClassUID"])
    except (Rejected, *UNPARSABLE):
        return False
    return _is_segmentation(header)


def _is_segmentation(header: Dataset) -> bool:
    return header.get("SOPClassUID") in (SegmentationStorage, _LABEL_MAP_SEGMENTATION_STORAGE)


def _nifti(path: Path) -> Labels:
    try:
        image: Any = sitk.ReadImage(str(path))
    except RuntimeError as exc:
        cause = str(exc).strip().splitlines()[-1].strip()
        raise NotALabelMap(f"{path} cannot be read as NIfTI: {cause}") from exc
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise NotALabelMap(f"{path} is not one 3D volume: its size is {image.GetSize()}")
    volume = hd.Volume.from_simpleitk(image)
    grid = volume.get_geometry()
    codes = {key: _number(image, key) for key in ("qform_code", "sform_code")}
    if codes["sform_code"]:
        _check_sform(path, image, grid)
    array = _whole_numbers(path, volume.array)
    present = np.zeros(_MAX_LABEL + 1, np.bool_)
    present[array] = True
    names: dict[int, tuple[str, ...]] = {int(n): () for n in np.flatnonzero(present) if n}
    return Labels(grid, names, partial(_where, array), whole=True, oriented=any(codes.values()))


def _number(image: Any, key: str) -> float:
    return float(image.GetMetaData(key)) if image.HasMetaDataKey(key) else 0.0


def _check_sform(path: Path, image: Any, grid: hd.VolumeGeometry) -> None:
    """A file may describe two grids. Most programs take the sform, ITK not always: nobody can know which was meant."""
    rows = [[float(v) for v in image.GetMetaData(f"srow_{axis}").split()] for axis in "xyz"]
    sform = _RAS_TO_LPS @ np.array([*rows, [0.0, 0.0, 0.0, 1.0]])
    try:
        place = placement(hd.VolumeGeometry(sform, grid.spatial_shape, "PATIENT"), grid)
    except ValueError:
        place = None
    if place is None or place.axes != (0, 1, 2) or any(place.flips) or any(place.start):
        raise NotALabelMap(f"{path} describes two grids: its sform does not agree with its pixdim and qform")


def _whole_numbers(path: Path, array: NDArray[np.generic]) -> LabelValues:
    """Label values; NotALabelMap for anything that is not a whole number of 0 to 65535."""
    low, high = float(array.min()), float(array.max())
    if low < 0 or high > _MAX_LABEL:
        raise NotALabelMap(f"{path} is no label map: its values go from {low:g} to {high:g}")
    labels: LabelValues = array.astype(np.uint8 if high < 256 else np.uint16, order="C")  # type: ignore[assignment]
    if array.dtype.kind == "f" and (labels != array).any():
        raise NotALabelMap(f"{path} is no label map: not all its values are whole numbers (probabilities?)")
    return labels


def _where(array: LabelValues, numbers: Sequence[int]) -> Mask:
    if len(numbers) == 1:
        return np.asarray(array == numbers[0])
    wanted = np.zeros(_MAX_LABEL + 1, np.bool_)
    wanted[list(numbers)] = True
    return np.asarray(wanted[array])


def _segmentation(path: Path) -> Labels:
    try:
        dataset = read_whole(path)
    except (InvalidDicomError, EOFError) as exc:
        raise NotALabelMap(f"{path} is neither NIfTI (.nii, .nii.gz) nor DICOM") from exc
    except Rejected as exc:
        raise NotALabelMap(f"{path} cannot be read: {exc}") from exc
    except UNPARSABLE as exc:
        raise NotALabelMap(f"{path} is damaged DICOM: {exc}") from exc
    if not _is_segmentation(dataset):
        raise NotALabelMap(f"{path} is DICOM, but not a Segmentation: {dataset.get('Modality', 'no Modality')}")
    kind = str(dataset.get("SegmentationType", ""))
    if kind not in (SegmentationTypeValues.BINARY.value, SegmentationTypeValues.LABELMAP.value):
        raise NotALabelMap(f"{path} is a {kind} Segmentation: only BINARY and LABELMAP say which voxels are meant")
    try:
        segmentation = Segmentation.from_dataset(dataset, copy=False)
        grid = segmentation.get_volume_geometry()
        names = dict(_names(segmentation))
    except _INVALID as exc:
        raise NotALabelMap(f"{path} is not a valid Segmentation: {exc}") from exc
    if not names:
        raise NotALabelMap(f"{path} has no segments")
    if grid is None:
        raise NotALabelMap(f"the frames of {path} do not form a regular 3D grid")
    if grid.spatial_shape[0] == 1 and "SpacingBetweenSlices" not in _pixel_measures(dataset):
        raise NotALabelMap(f"{path} has one slice and no Spacing Between Slices: its volume is unknown")
    return Labels(grid, names, partial(_segments, path, segmentation, grid), whole=False)


def _names(segmentation: Segmentation) -> Iterable[tuple[int, tuple[str, ...]]]:
    """Segment Label first, then the Tracking ID where there is one."""
    for item in segmentation.SegmentSequence:
        if item.SegmentNumber:
            called = (item.get("SegmentLabel") or f"Segment {item.SegmentNumber}", item.get("TrackingID"))
            yield int(item.SegmentNumber), tuple(str(name) for name in called if name)


def _pixel_measures(dataset: Dataset) -> Dataset:
    """Of all frames, or of the first."""
    groups = (dataset.SharedFunctionalGroupsSequence[0], dataset.PerFrameFunctionalGroupsSequence[0])
    measures: Dataset = next(group.PixelMeasuresSequence[0] for group in groups if "PixelMeasuresSequence" in group)
    return measures


def _segments(path: Path, segmentation: Segmentation, grid: hd.VolumeGeometry, numbers: Sequence[int]) -> Mask:
    if not numbers:
        return np.zeros(grid.spatial_shape, np.bool_)
    try:
        volume = segmentation.get_volume(segment_numbers=list(numbers))
    except _INVALID as exc:
        raise NotALabelMap(f"the pixels of {path} cannot be read: {exc}") from exc
    return np.asarray(volume.array.any(axis=-1))
