"""Makes an object's bytes depend on its content alone: highdicom fills in the clock's time and random UIDs."""

from datetime import datetime
from io import BytesIO

import highdicom as hd
from pydicom import Dataset
from pydicom.valuerep import DA, DT, TM

from service.evidence.times import written, zone_of
from service.evidence.uids import Uids
from service.imaging.patient_identity import patient_of


def seal(dataset: hd.SOPClass, analysed_at: datetime, source: Dataset, uids: Uids) -> bytes:
    """Fix every time and remaining UID of `dataset` in place, and copy who issued the patient ID (PS3.3 C.7.1.1);
    returns the DICOM file's bytes (PS3.10).

    analysed_at: aware. source: the CT's header, of whose zone the times are.
    """
    at = written(analysed_at, source)
    content = () if "StructureSetDate" in dataset else ("Content",)  # PS3.3 A.19.3 has a date of its own
    for prefix in ("InstanceCreation", *content, "Series"):
        setattr(dataset, f"{prefix}Date", DA(at.date()))
        setattr(dataset, f"{prefix}Time", TM(at.time()))
    for item in dataset.ContributingEquipmentSequence:
        if "ContributionDateTime" not in item or item.get("ManufacturerModelName") == "highdicom":
            item.ContributionDateTime = DT(at)
    if "DimensionOrganizationSequence" in dataset:
        _fix_dimensions(dataset, str(uids(str(dataset.SOPInstanceUID), "dimensions")))
    if zone_of(source) is not None:
        dataset.TimezoneOffsetFromUTC = source.TimezoneOffsetFromUTC
    if issuer := source.get("IssuerOfPatientID"):
        dataset.IssuerOfPatientID = issuer  # highdicom copies the ID alone, which two sites may both give out
    if entity := patient_of(source).entity:
        dataset.IssuerOfPatientIDQualifiersSequence = [_qualifiers(entity)]
    return to_bytes(dataset)


def _qualifiers(entity: str) -> Dataset:
    """The issuer's universal entity and its type, which a space parts (`domain.prior.Patient`)."""
    item = Dataset()
    item.UniversalEntityID, _, item.UniversalEntityIDType = entity.rpartition(" ")
    return item


def _fix_dimensions(dataset: Dataset, uid: str) -> None:
    for item in (*dataset.DimensionOrganizationSequence, *dataset.DimensionIndexSequence):
        item.DimensionOrganizationUID = uid


def to_bytes(dataset: Dataset) -> bytes:
    """The DICOM file (PS3.10) of a dataset with file meta information."""
    with BytesIO() as buffer:
        dataset.save_as(buffer, enforce_file_format=True)
        return buffer.getvalue()
