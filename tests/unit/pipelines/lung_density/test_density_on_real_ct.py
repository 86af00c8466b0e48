"""Real CTs against a computation of its own: from the files and our SEG alone, voxel by voxel and sorted.

It shares no code with the pipeline: HU come from pydicom, regions from the SEG by the SOP Instance UIDs that its frames
refer to, percentiles from sorting, and means from SimpleITK.
"""

from collections.abc import Iterator
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from helpers import evidence_samples
from helpers.shared_data import shared_data
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.filebase import DicomBytesIO

from service.domain.analysis import Analysis
from service.domain.anatomy import LEFT_LOBES, RIGHT_LOBES, Lobe
from service.domain.flags import Flag
from service.domain.ports import no_step, unheard
from service.evidence.context import EvidenceContext
from service.evidence.encode import encode
from service.imaging.read import read_ct
from service.inference.onnx import OnnxBackend
from service.pipelines.lung_density import flags as warnings
from service.pipelines.lung_density.pipeline import LungDensity
from service.settings import default_repository

pytestmark = pytest.mark.slow

_DEMO = Path(__file__).resolve().parents[4] / "demo" / "ct"


def masks(seg: Dataset) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """Label of the segment, SOP Instance UID of the slice, and the mask of every frame of a binary SEG."""
    labels = {int(one.SegmentNumber): str(one.SegmentLabel) for one in seg.SegmentSequence}
    for frame, groups in zip(seg.pixel_array, seg.PerFrameFunctionalGroupsSequence, strict=True):
        number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        yield labels[number], str(source.ReferencedSOPInstanceUID), frame > 0


def regions(seg: Dataset, slices: dict[str, NDArray[np.float64]]) -> dict[str, NDArray[np.float64]]:
    """HU of all voxels of each segment, sorted."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for label, uid, mask in masks(seg):
        found.setdefault(label, []).append(slices[uid][mask])
    return {label: np.sort(np.concatenate(parts)) for label, parts in found.items()}


def mean_by_itk(values: NDArray[np.float64]) -> float:
    image = sitk.GetImageFromArray(values[None])
    statistics = sitk.StatisticsImageFilter()
    statistics.Execute(image)
    return float(statistics.GetMean())


def assert_agrees(analysis: Analysis, group: str, values: NDArray[np.float64], voxel_ml: float) -> None:
    told = {one.name: one.value for one in analysis.group(group).measurements}
    count = len(values)
    assert told["volume_ml"] == pytest.approx(count * voxel_ml, rel=1e-6)
    assert told["laa_950_percent"] == pytest.approx(100.0 * np.searchsorted(values, -950.0) / count, rel=1e-9)
    dense = np.searchsorted(values, -250.0) - np.searchsorted(values, -600.0)
    assert told["haa_percent"] == pytest.approx(100.0 * dense / count, rel=1e-9)
    assert told["perc15_hu"] == values[ceil(0.15 * count) - 1]
    assert told["mean_hu"] == pytest.approx(mean_by_itk(values), abs=1e-3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("demo", {warnings.KERNEL_SHARP, warnings.NOISY}),
        ("LIDC-IDRI-0003", {warnings.CONTRAST, warnings.SLICES_AVERAGE, warnings.AIR_SHIFTED}),
    ],
)
def test_all_numbers_agree_with_sorted_voxels_of_the_files(name: str, expected: set[Flag]) -> None:
    folder = _DEMO if name == "demo" else shared_data(f"dicom/lidc/{name}")
    files = [dcmread(path) for path in sorted(folder.glob("*.dcm"))]
    files.sort(key=lambda file: float(file.ImagePositionPatient[2]))
    files = files[::2]
    ct = read_ct(files)
    pipeline = LungDensity()
    analysis = pipeline.analyse(ct, OnnxBackend(default_repository()), unheard)
    context = EvidenceContext("0.3", evidence_samples.ANALYSED_AT, analysis.pipeline)
    made = encode(ct, analysis, lambda: pipeline.report(ct, analysis, no_step), context)
    segs = {one.file_name: dcmread(DicomBytesIO(one.content)) for one in made if one.file_name.endswith(".seg.dcm")}

    slices = {
        str(file.SOPInstanceUID): np.maximum(
            file.pixel_array * float(file.RescaleSlope) + float(file.RescaleIntercept), -1024.0
        )
        for file in files
    }
    apart_mm = float(files[-1].ImagePositionPatient[2] - files[0].ImagePositionPatient[2]) / (len(files) - 1)
    voxel_ml = apart_mm * float(files[0].PixelSpacing[0]) * float(files[0].PixelSpacing[1]) / 1000.0
    titles = {Lobe.RUL: "Right upper", Lobe.RML: "Right middle", Lobe.RLL: "Right lower"}
    titles |= {Lobe.LUL: "Left upper", Lobe.LLL: "Left lower"}
    by_title = regions(segs["lobes.seg.dcm"], slices)
    lobes = {lobe: by_title[f"{title} lobe"] for lobe, title in titles.items()}
    for lobe, values in lobes.items():
        assert_agrees(analysis, lobe.name, values, voxel_ml)
    for group, of in (("LUNG_RIGHT", RIGHT_LOBES), ("LUNG_LEFT", LEFT_LOBES), ("LUNG_TOTAL", tuple(Lobe))):
        assert_agrees(analysis, group, np.sort(np.concatenate([lobes[lobe] for lobe in of])), voxel_ml)

    areas = regions(segs["density.seg.dcm"], slices)
    (low,) = (values for title, values in areas.items() if title.startswith("Low"))
    (high,) = (values for title, values in areas.items() if title.startswith("High"))
    assert low[-1] < -950.0 and high[0] >= -600.0 and high[-1] < -250.0
    total = np.concatenate(list(lobes.values()))
    assert len(low) == np.count_nonzero(total < -950.0)
    assert len(high) == np.count_nonzero((total >= -600.0) & (total < -250.0))
    assert expected <= set(analysis.flags)
