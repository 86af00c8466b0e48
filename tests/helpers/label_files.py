"""Label maps as files of other programs: NIfTI in any axis order, DICOM Segmentation written by dcmqi."""

import json
import subprocess
from pathlib import Path

import highdicom as hd
import numpy as np
import SimpleITK as sitk

from helpers.programs import program


def volume(array: np.ndarray, spacing_mm: tuple[float, float, float] = (2.0, 1.0, 1.0)) -> hd.Volume:
    """Axial slices from head to feet, rows to the back, columns to the left, somewhere in the patient."""
    direction = np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]], float).T  # columns: direction of each axis
    affine = np.eye(4)
    affine[:3, :3] = direction * spacing_mm
    affine[:3, 3] = (-40.5, -160.25, -700.5)
    return hd.Volume(array, affine, "PATIENT")


def write_nifti(labels: hd.Volume, path: Path, order: str = "LPS") -> Path:
    """order: where the file's axes run to; whatever it is, the voxels lie at the same place in the patient."""
    sitk.WriteImage(sitk.DICOMOrient(labels.to_simpleitk(), order), str(path))
    return path


def write_dcmqi_seg(labels: hd.Volume, names: list[str], ct: Path, path: Path, work: Path) -> Path:
    """A BINARY Segmentation as another maker writes it. names: of the labels 1, 2, ...; ct: folder with the source."""
    segments = [
        {
            "labelID": number,
            "SegmentLabel": name,
            "SegmentDescription": name,
            "SegmentAlgorithmType": "MANUAL",
            "SegmentedPropertyCategoryCodeSequence": _code("123037004", "Anatomical structure"),
            "SegmentedPropertyTypeCodeSequence": _code("39607008", "Lung"),
            "recommendedDisplayRGBValue": [100, 150, 40 * number],
        }
        for number, name in enumerate(names, start=1)
    ]
    described = {
        "@schema": "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/schemas/seg-schema.json#",
        "ContentCreatorName": "Reader1",
        "SeriesDescription": "Segmentation",
        "SeriesNumber": "300",
        "InstanceNumber": "1",
        "segmentAttributes": [segments],
    }
    description, image = work / "seg.json", work / "seg.nii.gz"
    description.write_text(json.dumps(described))
    write_nifti(labels, image)
    arguments = ["--inputDICOMDirectory", ct, "--inputImageList", image, "--inputMetadata", description]
    command = [program("itkimage2segimage"), *arguments, "--outputDICOM", path, "--skip"]
    subprocess.run(command, capture_output=True, check=True)
    return path


def _code(value: str, meaning: str) -> dict[str, str]:
    return {"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": meaning}
