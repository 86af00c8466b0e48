"""Phantom chest CTs with known volumes, in every geometry and encoding a sender may use.

    ct = make_ct.make(orientation="HFP", findings=make_ct.FINDINGS)
    ct.datasets        # ready to send or to save, one per slice
    ct.truth           # masks and millilitres
    make_ct.write(ct.datasets, folder)

`damage_ct` spoils them for the gate, `enhanced_ct` makes them multi-frame.
"""

import json
import pickle
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid
from pydicom.valuerep import format_number_as_ds

from helpers.phantom import FINDINGS, LEFT_LUNG, RIGHT_LUNG, Array, Ball, Truth, findings, hounsfield, lobes
from helpers.tumours import Tumour, part_inside

__all__ = ["FINDINGS", "ORIENTATIONS", "Ball", "PhantomCT", "Spec", "compress", "make", "write"]

ORIENTATIONS: dict[str, tuple[float, ...]] = {
    "HFS": (1, 0, 0, 0, 1, 0),
    "HFP": (-1, 0, 0, 0, -1, 0),
    "HFDR": (0, 1, 0, -1, 0, 0),
    "HFDL": (0, -1, 0, 1, 0, 0),
    "FFS": (-1, 0, 0, 0, 1, 0),
    "FFP": (1, 0, 0, 0, -1, 0),
    "FFDR": (0, -1, 0, -1, 0, 0),
    "FFDL": (0, 1, 0, 1, 0, 0),
}
"""Image Orientation (Patient) by Patient Position, as a scanner that never flips its images writes it."""


@dataclass(frozen=True, slots=True)
class Spec:
    """How to scan the phantom.

    iop: Image Orientation (Patient), instead of the orientation's. tilt_deg: gantry tilt; slices stay along z.
    tumours: bodies that may lie anywhere, with partial volume.
    centre_mm: the phantom's centre in the patient's LPS frame. shift_z_mm: moves the lungs towards the head.
    slopes: Rescale Slope per slice, repeated. padding: outside a circle, the stored value -2000.
    feet_first_numbers: Instance Number and file order start at the other end.
    attributes: set on every slice at the end, None removes.
    """

    slices: int = 88
    spacing_mm: float = 2.5
    thickness_mm: float | None = None
    rows: int = 96
    columns: int = 128
    pixel_mm: tuple[float, float] = (3.0, 3.0)
    orientation: str = "HFS"
    iop: tuple[float, ...] | None = None
    tilt_deg: float = 0.0
    centre_mm: tuple[float, float, float] = (4.5, -160.25, -700.5)
    lungs: bool = True
    shift_z_mm: float = 0.0
    findings: tuple[Ball, ...] = ()
    tumours: tuple[Tumour, ...] = ()
    noise_hu: float = 12.0
    seed: int = 0
    slopes: tuple[float, ...] = (1.0,)
    padding: bool = False
    feet_first_numbers: bool = False
    study: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def seed_text(self) -> str:
        """All options as text that no rename in the code changes; without tumours as before there were any."""
        options = asdict(self)
        if not self.tumours:
            del options["tumours"]
        return json.dumps(options, sort_keys=True, default=str)

    @property
    def cosines(self) -> Array:
        """Rows: direction of growing column index, direction of growing row index."""
        iop = np.array(self.iop or ORIENTATIONS[self.orientation], float).reshape(2, 3)
        angle = np.radians(self.tilt_deg)
        about_x = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
        return iop @ about_x.T

    @property
    def affine(self) -> Array:
        """(slice, row, column) to LPS mm; slices in highdicom's right-handed order."""
        along_row, along_column = self.cosines
        step = np.cross(along_column, along_row)
        if self.tilt_deg:
            step = np.array([0.0, 0.0, np.sign(step[2])])
        matrix = np.eye(4)
        matrix[:3, 0] = step * self.spacing_mm
        matrix[:3, 1] = along_column * self.pixel_mm[0]
        matrix[:3, 2] = along_row * self.pixel_mm[1]
        middle = (np.array([self.slices, self.rows, self.columns]) - 1) / 2
        matrix[:3, 3] = np.array(self.centre_mm) - matrix[:3, :3] @ middle
        return matrix


@dataclass(frozen=True, slots=True, eq=False)
class PhantomCT:
    """Datasets in the order of their Instance Number, and what they show."""

    datasets: list[Dataset]
    truth: Truth
    spec: Spec


def make(**options: Any) -> PhantomCT:
    """Scan the phantom; options are those of `Spec`. The same options give the same bytes."""
    spec = Spec(**options)
    hu, lobe_mask, finding_mask = _scan(replace(spec, attributes={}, study=""))
    header = pickle.dumps(_header(spec))
    datasets = [_slice(spec, pickle.loads(header), k, hu[k]) for k in range(spec.slices)]
    if spec.feet_first_numbers:
        datasets.reverse()
    for number, dataset in enumerate(datasets, start=1):
        dataset.InstanceNumber = number
    return PhantomCT(datasets, _truth(spec, lobe_mask.copy(), finding_mask.copy()), spec)


def write(datasets: Iterable[Dataset], folder: Path) -> list[Path]:
    """Save one DICOM file per dataset, named by position in the sequence."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets):
        paths.append(folder / f"{number:04d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def compress(datasets: Sequence[Dataset], transfer_syntax: str) -> list[Dataset]:
    """Compress every dataset in place; RLE, JPEG-LS (pyjpegls) and JPEG 2000 (pylibjpeg) are available."""
    for dataset in datasets:
        dataset.compress(transfer_syntax, generate_instance_uid=False)
    return list(datasets)


@lru_cache(maxsize=2)
def _scan(spec: Spec) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.uint8]]:
    """HU with noise, lobes and findings, each (slice, row, column). Kept: many tests scan the same way."""
    shape = (spec.slices, spec.rows, spec.columns)
    hu, lobe_mask, finding_mask = np.empty(shape, np.float32), np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)
    noise = np.random.default_rng(spec.seed)
    row, column = np.mgrid[: spec.rows, : spec.columns]
    affine = spec.affine
    for k in range(spec.slices):
        index = np.stack([np.full_like(row, k), row, column, np.ones_like(row)])
        lps = np.einsum("ij,jrc->irc", affine, index)[:3]
        x, y, z = (axis - centre for axis, centre in zip(lps, spec.centre_mm, strict=True))
        z = z - spec.shift_z_mm
        if spec.lungs:
            lobe_mask[k] = lobes(x, y, z)
            finding_mask[k] = findings(x, y, z, spec.findings)
        hu[k] = hounsfield(x, y, z, lobe_mask[k], finding_mask[k])
        for tumour in spec.tumours:
            part = part_inside(tumour, np.stack([x, y, z]), affine[:3, :3].T)
            hu[k] += part * (tumour.hu - hu[k])
        hu[k] += noise.normal(0.0, spec.noise_hu, row.shape)
    assert not np.any(finding_mask[lobe_mask == 0]), "a finding lies outside the lungs"
    return hu, lobe_mask, finding_mask


def _truth(spec: Spec, lobe_mask: NDArray[np.uint8], finding_mask: NDArray[np.uint8]) -> Truth:
    kinds = {ball.finding for ball in spec.findings}
    findings_ml = {kind: sum(b.ml for b in spec.findings if b.finding == kind) for kind in sorted(kinds)}
    return Truth(spec.affine, lobe_mask, finding_mask, LEFT_LUNG.ml, RIGHT_LUNG.ml, findings_ml)


def _slice(spec: Spec, dataset: Dataset, k: int, hu: NDArray[np.float32]) -> Dataset:
    """Completes `dataset`, a copy of the header, to one valid CT image (PS3.3 A.3): slice `k` of the volume."""
    affine = spec.affine
    slope = spec.slopes[k % len(spec.slopes)]
    position = affine[:3, 3] + k * affine[:3, 0]
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[spec.seed_text, str(k)])
    dataset.ImagePositionPatient = [format_number_as_ds(float(p)) for p in position]
    dataset.SliceLocation = format_number_as_ds(float(position[2]))
    dataset.RescaleSlope = format_number_as_ds(slope)
    stored = np.clip(np.round((hu + 1024.0) / slope), 0, 4095 / slope).astype(np.int16)
    if spec.padding:
        row, column = np.mgrid[: spec.rows, : spec.columns]
        circle = min(spec.rows, spec.columns) / 2
        outside = np.hypot(row - (spec.rows - 1) / 2, column - (spec.columns - 1) / 2) > circle
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 1, 16, 15
        dataset.PixelPaddingValue = -2000
        stored[outside] = -2000
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
    for keyword, value in spec.attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    dataset.file_meta = _file_meta(dataset)
    return dataset


def _header(spec: Spec) -> Dataset:
    """Attributes that all slices share."""
    dataset = Dataset()
    dataset.update(
        {
            "SpecificCharacterSet": "ISO_IR 100",
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "SOPClassUID": CTImageStorage,
            "StudyDate": "20240501",
            "SeriesDate": "20240501",
            "AcquisitionDate": "20240501",
            "ContentDate": "20240501",
            "StudyTime": "101500",
            "SeriesTime": "101600",
            "AcquisitionTime": "101610",
            "ContentTime": "101610",
            "AccessionNumber": "PHANTOM1",
            "Modality": "CT",
            "Manufacturer": "Thoracle tests",
            "ManufacturerModelName": "Phantom",
            "ReferringPhysicianName": "",
            "StudyDescription": "Phantom chest",
            "SeriesDescription": "Phantom chest CT",
            "PatientName": "Phantom^Chest",
            "PatientID": "PHANTOM",
            "PatientBirthDate": "19640501",
            "PatientSex": "O",
            "PatientAge": "060Y",
            "BodyPartExamined": "CHEST",
            "KVP": "120",
            "ConvolutionKernel": "B40f",
            "PatientPosition": spec.orientation,
            "StudyInstanceUID": generate_uid(entropy_srcs=[spec.study or spec.seed_text, "study"]),
            "SeriesInstanceUID": generate_uid(entropy_srcs=[spec.seed_text, "series"]),
            "FrameOfReferenceUID": generate_uid(entropy_srcs=[spec.study or spec.seed_text, "frame of reference"]),
            "StudyID": "1",
            "SeriesNumber": "2",
            "AcquisitionNumber": "1",
            "PositionReferenceIndicator": "",
            "ImageOrientationPatient": [format_number_as_ds(float(c)) for c in spec.cosines.ravel()],
            "PixelSpacing": list(spec.pixel_mm),
            "SliceThickness": spec.spacing_mm if spec.thickness_mm is None else spec.thickness_mm,
            "SamplesPerPixel": 1,
            "PhotometricInterpretation": "MONOCHROME2",
            "Rows": spec.rows,
            "Columns": spec.columns,
            "BitsAllocated": 16,
            "BitsStored": 12,
            "HighBit": 11,
            "PixelRepresentation": 0,
            "RescaleIntercept": "-1024",
            "RescaleType": "HU",
        }
    )
    if spec.tilt_deg:
        dataset.GantryDetectorTilt = format_number_as_ds(spec.tilt_deg)
    return dataset


def _file_meta(dataset: Dataset) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return meta
