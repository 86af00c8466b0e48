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

import highdicom as hd
from pydicom import DataElement, Dataset, config
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import STR_VR

from service.domain.ct import CT
from service.domain.flags import LOSSY
from service.evidence.legal import legal_value
from service.imaging.attributes import MALFORMED, element, is_multi_frame, texts

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
_OPTIONAL = {"PatientAge": r"\d{3}[DWMY]", "TimezoneOffsetFromUTC": r"[+-]\d{4}"}
"""What a value has to look like; without one the attribute is not copied."""

_DEEPEST = 8
"""Items within items that are copied; what lies deeper only a damaged or hostile header has."""

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
    headers = [clean_header(first), *map(_reference, rest)]
    for header in headers:
        _complete(header, ct.volume)
    _tell_loss(headers[0], ct)
    return headers


def _tell_loss(first: Dataset, ct: CT) -> None:
    """What is made from a CT of which any image was compressed with loss says so (PS3.3 C.7.6.1.1.5).

    highdicom looks at the first image.
    """
    lossy = [header for header in ct.headers if "01" in texts(header, "LossyImageCompression")]
    if not lossy and LOSSY not in ct.flags:
        return
    first.LossyImageCompression = "01"
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        telling = next((clean for header in lossy[:1] if keyword in (clean := clean_header(header))), None)
        if keyword not in first and telling is not None:
            first[keyword] = telling[keyword]


def _complete(header: Dataset, volume: hd.Volume) -> None:
    """Adds what highdicom reads of every CT, where it is absent: what the volume knows of its slices."""
    if not header.get("Modality"):
        header.Modality = "CT"
    measures, orientation = volume.get_pixel_measures(), volume.get_plane_orientation()
    if not is_multi_frame(header):
        if "SliceThickness" not in header:
            header.SliceThickness = measures[0].SliceThickness
        return
    if not header.get("SharedFunctionalGroupsSequence"):
        header.SharedFunctionalGroupsSequence = [Dataset()]
    shared = header.SharedFunctionalGroupsSequence[0]
    for keyword, macro in (("PixelMeasuresSequence", measures), ("PlaneOrientationSequence", orientation)):
        if not shared.get(keyword):
            setattr(shared, keyword, macro)


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
    """A copy without private attributes and pixels, its values legal and its text ready to be written as UTF-8."""
    clean = Dataset()
    for found in _standard_elements(header):
        _add(clean, _clean_element(found))
    for keyword in _REQUIRED:
        if keyword not in clean:
            setattr(clean, keyword, "")
    if clean.PatientSex not in ("M", "F", "O"):
        clean.PatientSex = ""
    for keyword, pattern in _OPTIONAL.items():
        if not re.fullmatch(pattern, str(clean.get(keyword) or "")):
            clean.pop(Tag(keyword), None)
    clean.SpecificCharacterSet = UTF8
    return clean


def _standard_elements(header: Dataset) -> Iterator[DataElement]:
    for tag in header.keys():  # noqa: SIM118  (iterating a Dataset gives elements, not tags)
        if not tag.is_private and tag.group >= 0x0008 and tag != 0x7FE00010 and dictionary_has_tag(tag):
            # The gate read what an analysis needs; any other attribute that cannot be read is not copied.
            with suppress(*MALFORMED):
                yield from _of_right_kind(header, tag)


def _of_right_kind(header: Dataset, tag: BaseTag) -> Iterator[DataElement]:
    """The element, if its value is of the kind the attribute has; text of one kind is good for another."""
    found, vr = element(header, tag), dictionary_VR(tag)
    if found.VR in vr:
        yield found
    elif found.VR in STR_VR and vr in STR_VR:
        yield DataElement(tag, vr, found.value, validation_mode=config.IGNORE)


def _clean_element(found: DataElement, depth: int = 0) -> DataElement:
    if found.VR == "SQ":
        items = [] if depth == _DEEPEST else [_clean_item(item, depth + 1) for item in found.value]
        return DataElement(found.tag, "SQ", items)
    return DataElement(found.tag, found.VR, legal_value(found), validation_mode=config.IGNORE)


def _add(clean: Dataset, found: DataElement) -> None:
    """Numbers without a value stay behind: highdicom takes whatever is there for one."""
    if found.VR not in ("DS", "IS") or not found.is_empty:
        clean.add(found)


def _clean_item(item: Dataset, depth: int) -> Dataset:
    clean = Dataset()
    for found in _standard_elements(item):
        if found.keyword != "SpecificCharacterSet":
            _add(clean, _clean_element(found, depth))
    return clean


def _reference(header: Dataset) -> Dataset:
    reference = Dataset()
    for tag in map(Tag, _REFERENCE):
        with suppress(*MALFORMED):
            for found in _of_right_kind(header, tag) if tag in header else ():
                _add(reference, _clean_element(found))
    return reference
