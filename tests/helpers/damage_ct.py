"""Phantom CTs that the gate has to refuse: one or more per reason code.

for case in damage_ct.CASES: case.reason, case.make()   # datasets of one series
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import (
    MPEG2MPML,
    JPEGLSLossless,
    MRImageStorage,
    RTDoseStorage,
    SecondaryCaptureImageStorage,
    XRayRadiationDoseSRStorage,
    generate_uid,
)

from helpers import make_ct
from service.errors import Reason


@dataclass(frozen=True, slots=True)
class Case:
    name: str
    reason: Reason
    make: Callable[[], list[Dataset]]

    def __str__(self) -> str:
        return f"{self.reason}-{self.name}"


def scanned(**options: Any) -> list[Dataset]:
    """Datasets of a phantom scanned with the options of `make_ct.Spec`."""
    return make_ct.make(**options).datasets


def tagged(**attributes: Any) -> list[Dataset]:
    """A phantom with attributes replaced on every slice."""
    return make_ct.make(attributes=attributes).datasets


def one_changed(index: int = 40, **attributes: Any) -> list[Dataset]:
    """A phantom with attributes replaced on one slice."""
    datasets = make_ct.make().datasets
    datasets[index].update(attributes)
    return datasets


def dropped(*indices: int) -> list[Dataset]:
    """A phantom whose slices `indices` were lost."""
    return [d for k, d in enumerate(make_ct.make().datasets) if k not in indices]


def moved(index: int, by_mm: float) -> list[Dataset]:
    """A phantom with one slice shifted along z."""
    datasets = make_ct.make().datasets
    x, y, z = datasets[index].ImagePositionPatient
    datasets[index].ImagePositionPatient = [x, y, float(z) + by_mm]
    return datasets


def stretched() -> list[Dataset]:
    """A phantom whose slice spacing grows steadily."""
    datasets = make_ct.make().datasets
    for k, dataset in enumerate(datasets):
        x, y, z = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, float(z) - 0.01 * k * k]
    return datasets


def drifting() -> list[Dataset]:
    """A phantom whose first slices lie 2.44 mm and whose last slices 2.56 mm apart: each step is within tolerance."""
    datasets = make_ct.make(slices=120).datasets
    for k, dataset in enumerate(datasets):
        x, y, _ = dataset.ImagePositionPatient
        dataset.ImagePositionPatient = [x, y, -2.44 * min(k, 60) - 2.56 * max(k - 60, 0)]
    return datasets


def malformed() -> list[Dataset]:
    """A phantom with a position that is no number."""
    datasets = make_ct.make().datasets
    raw = RawDataElement(Tag("ImagePositionPatient"), "DS", 8, b"1\\zwei\\3", 0, False, True)
    datasets[5][raw.tag] = raw
    return datasets


def repeated(**second: Any) -> list[Dataset]:
    """The same slices twice, the second time with other SOP Instance UIDs and the attributes `second`."""
    first, again = make_ct.make().datasets, make_ct.make().datasets
    for dataset in again:
        dataset.SOPInstanceUID = generate_uid(entropy_srcs=[dataset.SOPInstanceUID, "again"])
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.update(second)
    return first + again


def other_matrix() -> list[Dataset]:
    """Half of the slices from a scan with another matrix."""
    first, second = make_ct.make().datasets, make_ct.make(columns=112).datasets
    return first[:40] + second[40:]


def without(*keywords: str, indices: tuple[int, ...] | None = None) -> list[Dataset]:
    """A phantom lacking attributes on some or all slices."""
    datasets = make_ct.make().datasets
    for k, dataset in enumerate(datasets):
        for keyword in keywords if indices is None or k in indices else ():
            delattr(dataset, keyword)
    return datasets


def broken_pixels() -> list[Dataset]:
    """JPEG-LS whose middle slice lost the second half of its code stream."""
    datasets = make_ct.compress(make_ct.make().datasets, JPEGLSLossless)
    pixels = datasets[40].PixelData
    datasets[40].PixelData = pixels[:200] + b"\x00" * (len(pixels) - 200)
    return datasets


def transfer_syntax(uid: str) -> list[Dataset]:
    """A phantom that claims a transfer syntax."""
    datasets = make_ct.make().datasets
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = uid
    return datasets


def _tags(name: str, reason: Reason, attributes: Mapping[str, Any]) -> Case:
    return Case(name, reason, partial(tagged, **attributes))


def _types(reason: Reason, *values: str) -> Case:
    return _tags("/".join(values), reason, {"ImageType": list(values)})


OBLIQUE = (0.9, 0.0, -0.43589, 0.0, 1.0, 0.0)
CORONAL = (1.0, 0.0, 0.0, 0.0, 0.0, -1.0)

CASES = (
    _tags("MR", Reason.NOT_CT, {"SOPClassUID": MRImageStorage}),
    Case("RT dose beside the slices", Reason.NOT_CT, lambda: one_changed(SOPClassUID=RTDoseStorage, NumberOfFrames=9)),
    Case("one secondary capture", Reason.NOT_CT, lambda: one_changed(SOPClassUID=SecondaryCaptureImageStorage)),
    _types(Reason.LOCALIZER, "ORIGINAL", "PRIMARY", "LOCALIZER"),
    _types(Reason.LOCALIZER, "ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 TOP", "TOPOGRAM"),
    Case("one scout", Reason.LOCALIZER, lambda: one_changed(0, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])),
    _types(Reason.DERIVED, "DERIVED", "SECONDARY", "AXIAL"),
    _types(Reason.DERIVED, "DERIVED", "SECONDARY", "MIP"),
    _types(Reason.DERIVED, "ORIGINAL", "PRIMARY", "AVERAGE"),
    _types(Reason.DERIVED, "DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 MPR", "MPR"),
    _tags("dose SR", Reason.DOSE_REPORT, {"SOPClassUID": XRayRadiationDoseSRStorage}),
    _types(Reason.DERIVED, "DERIVED", "PRIMARY", "AXIAL", "CT_SOM5 MIP"),
    _types(Reason.DERIVED, "ORIGINAL", "PRIMARY", "AXIAL", "MIP_10MM"),
    _types(Reason.DERIVED, "ORIGINAL", "PRIMARY", "AXIAL", "AVG"),
    _types(Reason.NOT_HU, "ORIGINAL", "PRIMARY", "AXIAL", "LUNGPBV"),
    _types(Reason.NOT_HU, "ORIGINAL", "PRIMARY", "AXIAL", "IODMAP"),
    _types(Reason.NOT_HU, "ORIGINAL", "PRIMARY", "AXIAL", "MATERIAL DENSITY"),
    _types(Reason.DERIVED, "ORIGINAL", "PRIMARY", "AXIAL", "VMI"),
    _types(Reason.DERIVED, "DERIVED", "PRIMARY", "AXIAL", "VNC"),
    _types(Reason.DERIVED, "ORIGINAL", "PRIMARY", "AXIAL", "CT_SOM5 SPI", "MonoE 70 keV"),
    _types(Reason.DERIVED, "DERIVED", "PRIMARY", "AXIAL", "GSI MONO"),
    _types(Reason.NOT_HU, "DERIVED", "PRIMARY", "AXIAL", "MAT_SPECIFIC"),
    _types(Reason.NOT_HU, "ORIGINAL", "PRIMARY", "AXIAL", "IODINE_MAP"),
    _types(Reason.NOT_HU, "ORIGINAL", "PRIMARY", "AXIAL", "EFF_ATOMIC_NUM"),
    _types(Reason.NOT_HU, "ORIGINAL", "PRIMARY", "AXIAL", "ELECTRON_DENSITY"),
    _types(Reason.DOSE_REPORT, "DERIVED", "SECONDARY", "SCREEN SAVE"),
    _types(Reason.DOSE_REPORT, "ORIGINAL", "SECONDARY", "DOSE_INFO"),
    Case("coronal", Reason.NOT_AXIAL, lambda: scanned(iop=CORONAL)),
    Case("oblique", Reason.NOT_AXIAL, lambda: scanned(iop=OBLIQUE)),
    Case("gantry 12 degrees", Reason.TILT, lambda: scanned(tilt_deg=12.0)),
    Case("stack 3 degrees off, not stated", Reason.TILT, lambda: _untold(scanned(tilt_deg=3.0))),
    _tags("stated only", Reason.TILT, {"GantryDetectorTilt": "345"}),
    Case(
        "one turned",
        Reason.MIXED_ORIENTATION,
        lambda: one_changed(ImageOrientationPatient=[-1, 0, 0, 0, -1, 0]),
    ),
    Case("two matrices", Reason.MIXED_GEOMETRY, other_matrix),
    Case("two pixel spacings", Reason.MIXED_GEOMETRY, lambda: one_changed(PixelSpacing=[3.0, 3.01])),
    Case("two frames of reference", Reason.MIXED_GEOMETRY, lambda: one_changed(FrameOfReferenceUID="1.2.3")),
    Case("every slice twice", Reason.DUPLICATE_POSITION, repeated),
    Case("one instance twice", Reason.DUPLICATE_POSITION, lambda: [*make_ct.make().datasets, scanned()[7]]),
    Case("two acquisitions", Reason.MULTIPHASE, lambda: repeated(AcquisitionNumber="2")),
    Case("two cardiac phases", Reason.MULTIPHASE, lambda: repeated(NominalPercentageOfCardiacPhase=40.0)),
    Case("one slice moved", Reason.IRREGULAR_SPACING, lambda: moved(40, 0.6)),
    Case("growing", Reason.IRREGULAR_SPACING, stretched),
    Case("drifting", Reason.IRREGULAR_SPACING, drifting),
    Case("one", Reason.MISSING_SLICES, lambda: dropped(40)),
    Case("three together", Reason.MISSING_SLICES, lambda: dropped(40, 41, 42)),
    Case("thick", Reason.TOO_THICK, lambda: scanned(thickness_mm=8.0)),
    Case("thin with wide gaps", Reason.TOO_THICK, lambda: scanned(slices=40, spacing_mm=7.0, thickness_mm=1.0)),
    Case("20 slices", Reason.TOO_FEW, lambda: scanned(slices=20, spacing_mm=5.0)),
    Case("120 mm", Reason.SHORT_COVERAGE, lambda: scanned(slices=48)),
    Case("no rescale", Reason.NOT_HU, lambda: without("RescaleSlope", "RescaleIntercept")),
    _tags("inverted", Reason.NOT_HU, {"PhotometricInterpretation": "MONOCHROME1"}),
    _tags("negative slope", Reason.NOT_HU, {"RescaleSlope": "-1"}),
    _tags("iodine map", Reason.NOT_HU, {"RescaleType": "MGML"}),
    _tags("4 years", Reason.AGE, {"PatientAge": "004Y"}),
    _tags("17 years by dates", Reason.AGE, {"PatientAge": None, "PatientBirthDate": "20060601"}),
    _tags("months", Reason.AGE, {"PatientAge": "030M"}),
    _tags("birth date with points", Reason.AGE, {"PatientAge": None, "PatientBirthDate": "2006.06.01"}),
    *(_tags(f"written {age}", Reason.AGE, {"PatientAge": age}) for age in ("5Y", "05Y", "5 Y", "005y", "4")),
    _tags("child by birth date, adult by age", Reason.AGE, {"PatientAge": "060Y", "PatientBirthDate": "20150101"}),
    _tags("adult by birth date, child by age", Reason.AGE, {"PatientAge": "006Y", "PatientBirthDate": "19640501"}),
    _tags("two birth dates", Reason.AGE, {"PatientAge": None, "PatientBirthDate": ["19640501", "20150101"]}),
    Case("a matrix that no scanner makes", Reason.TOO_LARGE, lambda: tagged(Rows=4096, Columns=4096)),
    Case("video", Reason.CODEC, lambda: transfer_syntax(MPEG2MPML)),
    Case("no position", Reason.UNREADABLE, lambda: without("ImagePositionPatient", indices=(3,))),
    Case("no pixel spacing", Reason.UNREADABLE, lambda: without("PixelSpacing")),
    Case("no frame of reference", Reason.UNREADABLE, lambda: without("FrameOfReferenceUID")),
    Case("no SOP class", Reason.UNREADABLE, lambda: without("SOPClassUID", indices=(3,))),
    Case("malformed position", Reason.UNREADABLE, malformed),
    _tags("pixels of 1e300 mm", Reason.UNREADABLE, {"PixelSpacing": ["1e300", "1e300"]}),
    _tags("pixels of 1e-300 mm", Reason.UNREADABLE, {"PixelSpacing": ["1e-300", "1e-300"]}),
    _tags("slope of 1e300", Reason.UNREADABLE, {"RescaleSlope": "1e300"}),
    _tags("thickness of 1e300 mm", Reason.UNREADABLE, {"SliceThickness": "1e300"}),
    _tags("12 bits allocated", Reason.UNREADABLE, {"BitsAllocated": 12}),
    _tags("two patient IDs", Reason.UNREADABLE, {"PatientID": ["A", "B"]}),
    _tags("two frames of reference in one", Reason.UNREADABLE, {"FrameOfReferenceUID": ["1.2", "1.3"]}),
    _tags("padding that is no number", Reason.UNREADABLE, {"PixelPaddingValue": 0.5}),
    _tags("no pixel size", Reason.UNREADABLE, {"PixelSpacing": [0.0, 0.0]}),
    _tags("half a position", Reason.UNREADABLE, {"ImagePositionPatient": [0.0, 0.0]}),
    _tags("skewed cosines", Reason.UNREADABLE, {"ImageOrientationPatient": [1, 0, 0, 1, 0, 0]}),
)
"""Refused from the headers. INCOMPLETE depends on the sender's count, so it has no case of its own."""

PIXEL_CASES = (
    Case("broken code stream", Reason.CODEC, broken_pixels),
    Case("too few bytes", Reason.CODEC, lambda: one_changed(PixelData=b"\x00" * 100)),
    Case("a blank slice", Reason.DAMAGED_SLICES, lambda: one_changed(PixelData=bytes(2 * 96 * 128))),
    Case("no pixel data", Reason.UNREADABLE, lambda: without("PixelData", indices=(3,))),
    _tags("water at -1024 HU", Reason.NOT_HU, {"RescaleIntercept": "-2048"}),
    _tags("rescaled twice", Reason.NOT_HU, {"RescaleSlope": "2"}),
    _tags("raw values called HU", Reason.NOT_HU, {"RescaleIntercept": "0"}),
)
"""Refused when the pixels are read; their headers pass."""

LUNG_CASES = (
    Case("lungs cut at the top", Reason.TRUNCATED, lambda: scanned(shift_z_mm=60.0)),
    Case("lungs cut at the bottom", Reason.TRUNCATED, lambda: scanned(shift_z_mm=-60.0)),
    Case("abdomen", Reason.NO_LUNG, lambda: scanned(lungs=False)),
)
"""Refused by the lungs; headers and pixels pass."""


def _untold(datasets: list[Dataset]) -> list[Dataset]:
    for dataset in datasets:
        del dataset.GantryDetectorTilt
    return datasets
