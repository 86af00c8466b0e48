"""A tiny CT of nobody: two samples of it differ in every value that results may copy."""

from copy import deepcopy
from dataclasses import replace

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.uid import CTImageStorage

from service.domain.ct import CT

_ROOT = "1.2.826.0.1.3680043.8.498"

_PATIENT_AND_STUDY = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientBirthTime",
    "PatientComments",
    "EthnicGroup",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialSubjectID",
    "ClinicalTrialTimePointID",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
    "ReferringPhysicianName",
    "AdmittingDiagnosesDescription",
    "PatientSize",
    "PatientWeight",
    "Occupation",
    "AdditionalPatientHistory",
    "AcquisitionDate",
    "AcquisitionTime",
    "SeriesDescription",
    "ProtocolName",
    "InstitutionName",
    "Manufacturer",
    "ManufacturerModelName",
    "StationName",
    "SeriesDate",
    "SeriesTime",
    "ContentDate",
    "ContentTime",
    "SoftwareVersions",
    "DeviceSerialNumber",
)
_VALUES = {"DA": "2024010{}", "TM": "09300{}", "IS": "{}", "DS": "{}", "PN": "Sample^{}", "DT": "2024010{}093000"}


def sample_ct(number: int) -> CT:
    """The sample of that number, 1 to 9. Axes (slice, row, column)."""
    turned = (-1.0) ** number  # supine or prone
    step_mm, pixel_mm = 1.0 + number, turned * number
    affine = np.array(
        [[0.0, 0.0, pixel_mm, 0.0], [0.0, pixel_mm, 0.0, 0.0], [-step_mm, 0.0, 0.0, number], [0.0, 0.0, 0.0, 1.0]]
    )
    hu = np.full((2 + number, 6 + number, 7 + number), -1000 + number, np.int16)
    headers = tuple(_header(number, k, affine, hu.shape) for k in range(hu.shape[0]))
    return CT(headers, hd.Volume(hu, affine, hd.CoordinateSystemNames.PATIENT, str(headers[0].FrameOfReferenceUID)))


def compressed_with_loss(ct: CT) -> CT:
    """The same CT, of which each image says that it was compressed with loss."""
    headers = tuple(deepcopy(one) for one in ct.headers)
    for header in headers:
        header.LossyImageCompression = "01"
        header.LossyImageCompressionRatio, header.LossyImageCompressionMethod = 4, "ISO_15444_1"
    return replace(ct, headers=headers)


def _header(number: int, k: int, affine: NDArray[np.float64], shape: tuple[int, ...]) -> Dataset:
    header = Dataset()
    for keyword in _PATIENT_AND_STUDY:
        setattr(header, keyword, _VALUES.get(dictionary_VR(keyword), "SAMPLE {}").format(number))
    header.SpecificCharacterSet = "ISO_IR 100"
    header.SOPClassUID, header.Modality = CTImageStorage, "CT"
    header.SOPInstanceUID = f"{_ROOT}.{number}.1.{k + 1}"
    header.StudyInstanceUID, header.SeriesInstanceUID = f"{_ROOT}.{number}.2", f"{_ROOT}.{number}.3"
    header.FrameOfReferenceUID = f"{_ROOT}.{number}.4"
    header.PositionReferenceIndicator = f"P{number}"
    header.PatientSex, header.PatientAge = ("M", "F")[number % 2], f"04{number}Y"
    header.TimezoneOffsetFromUTC = f"+0{number}00"
    header.SeriesNumber, header.InstanceNumber = number, k + 1
    header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    header.Rows, header.Columns = shape[1:]
    header.PixelSpacing, header.SliceThickness = [number, number], 1 + number
    turned = (-1) ** number
    header.ImageOrientationPatient = [turned, 0, 0, 0, turned, 0]
    header.ImagePositionPatient = (affine @ [k, 0, 0, 1])[:3].tolist()
    return header
