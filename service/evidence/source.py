"""Source headers as the encoders need them: text decoded, required attributes present, malformed ones left empty.

Every object copies the Patient, General Study and Patient Study modules (PS3.3 C.7.1.1, C.7.2.1, C.7.2.2) from the
first header, so that the PACS files it under the same patient and study. UIDs are copied as they came, even invalid
ones (decision 0021): a reference must carry the very string the PACS knows.
"""

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from pydicom import DataElement, Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VM, dictionary_VR
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, DT, TM

from service.domain.ct import CT
from service.imaging.attributes import MALFORMED

warnings.filterwarnings("ignore", message="The string .* person name", category=UserWarning)
logging.getLogger("highdicom").setLevel(logging.ERROR)
# highdicom remarks on unusual names by quoting them; logs hold no patient data

UTF8 = "ISO_IR 192"

_REQUIRED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
_BULK = ("PixelData", "PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")
_DATES = {"DA": DA, "TM": TM, "DT": DT}
_REFERENCE = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "AcquisitionDateTime",
    "AcquisitionDate",
    "AcquisitionTime",
    "Rows",
    "Columns",
    "PixelSpacing",
    "SliceThickness",
    "ImageOrientationPatient",
    "ImagePositionPatient",
)


def source_headers(ct: CT) -> list[Dataset]:
    """Headers in the order of `ct.headers`: the first one whole and clean, the others only what a reference needs."""
    first, *rest = ct.headers
    return [clean_header(first), *map(_reference, rest)]


def patient_and_study(header: Dataset) -> dict[str, Any]:
    """Arguments of highdicom's constructors that copy a clean header's Patient and General Study modules."""
    return {
        "study_instance_uid": header.StudyInstanceUID,
        "patient_id": header.PatientID,
        "patient_name": header.PatientName,
        "patient_birth_date": header.PatientBirthDate,
        "patient_sex": header.PatientSex,
        "accession_number": header.AccessionNumber,
        "study_id": header.StudyID,
        "study_date": header.StudyDate,
        "study_time": header.StudyTime,
        "referring_physician_name": header.ReferringPhysicianName,
        "specific_character_set": header.SpecificCharacterSet,
    }


def sop_reference(header: Dataset) -> Dataset:
    """Item that refers to an instance (PS3.3 Table 10-11)."""
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def clean_header(header: Dataset) -> Dataset:
    """A copy without private attributes and pixels, its text ready to be written as UTF-8."""
    clean = Dataset()
    for element in _standard_elements(header):
        clean.add(element if element.keyword in _BULK else _clean_element(element))
    for keyword in _REQUIRED:
        if keyword not in clean:
            setattr(clean, keyword, "")
    if clean.PatientSex not in ("M", "F", "O"):
        clean.PatientSex = ""
    if not re.fullmatch(r"\d{3}[DWMY]", str(clean.get("PatientAge", "000Y"))):
        del clean.PatientAge
    clean.SpecificCharacterSet = UTF8
    return clean


def _standard_elements(header: Dataset) -> Iterator[DataElement]:
    for tag in header.keys():  # noqa: SIM118  (iterating a Dataset gives elements, not tags)
        if not tag.is_private and tag.group >= 0x0008 and tag != 0x7FE00010:
            # The gate read what an analysis needs; any other attribute that cannot be read is not copied.
            with suppress(*MALFORMED):
                element = header[tag]
                if dictionary_has_tag(tag) and element.VR in dictionary_VR(tag):
                    yield element


def _clean_element(element: DataElement) -> DataElement:
    if element.VR == "SQ":
        return DataElement(element.tag, "SQ", [_clean_item(item) for item in element.value])
    if element.VR == "PN":
        return DataElement(element.tag, "PN", _names(element))
    if element.VR in _DATES and not _is_date(element):
        return DataElement(element.tag, element.VR, "")
    return element


def _clean_item(item: Dataset) -> Dataset:
    clean = Dataset()
    for element in _standard_elements(item):
        if element.keyword != "SpecificCharacterSet":
            clean.add(_clean_element(element))
    return clean


def _names(element: DataElement) -> str | list[str]:
    """Person names without their original bytes: those are in the source's character set. Two for one are none."""
    if isinstance(element.value, (list, MultiValue)):
        return "" if dictionary_VM(element.tag) == "1" else [str(name) for name in element.value]
    return str(element.value or "")


def _is_date(element: DataElement) -> bool:
    values = element.value if isinstance(element.value, (list, MultiValue)) else [element.value]
    try:
        for value in values:
            _DATES[element.VR](str(value or "") or None)
    except ValueError:
        return False
    return True


def _reference(header: Dataset) -> Dataset:
    reference = Dataset()
    for keyword in _REFERENCE:
        if keyword in header:
            reference.add(header[keyword])
    return reference
