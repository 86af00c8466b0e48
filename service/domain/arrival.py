"""One received composite instance and what it says about itself."""

from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from typing import BinaryIO

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.uid import UID
from pydicom.valuerep import DT

from service.domain.dicom_file import beginning
from service.domain.priority import Urgency, requested
from service.domain.unparsable import UNPARSABLE
from service.errors import Rejected

CT_SOP_CLASSES = frozenset(
    (
        "1.2.840.10008.5.1.4.1.1.2",  # CT Image Storage
        "1.2.840.10008.5.1.4.1.1.2.1",  # Enhanced CT Image Storage
        "1.2.840.10008.5.1.4.1.1.2.2",  # Legacy Converted Enhanced CT Image Storage
    )
)

_UIDS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
_TIMES = ("AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "TimezoneOffsetFromUTC")
_PRIORITY = "RequestedProcedurePriority"
_LONGEST_UID = 64
MOST_LOOKED_AT_BYTES = 2**24
"""Bytes of a file in which an instance is identified: no header of a CT is longer."""

_LOOKED_AT = (*_UIDS, "Modality", *_TIMES, _PRIORITY)


class Unidentified(ValueError):
    """The dataset does not say which instance of which series it is; the text is safe to log."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which instance a dataset is. UIDs are kept as sent, valid or not, of at most 64 characters (PS3.5 9.1).

    acquired_at: Acquisition DateTime, aware; None where the dataset has none that can be read.
    urgency: by Requested Procedure Priority.
    """

    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    modality: str
    transfer_syntax_uid: str
    acquired_at: datetime | None
    urgency: Urgency = Urgency.ROUTINE

    @property
    def ignored(self) -> str | None:
        """Why the instance takes no part in any analysis, by the name of its SOP class; None for CT images."""
        if self.sop_class_uid in CT_SOP_CLASSES:
            return None
        return f"NOT_CT: {UID(self.sop_class_uid).name}, modality {self.modality or 'unknown'}"


def is_other_image(sop_class_uid: str) -> bool:
    """Whether it is a class of images that are no CT, as a scanner makes them.

    Reports, segmentations and captured screens are none: our own results, which a PACS may send back, are among them.
    """
    name = UID(sop_class_uid).name
    return sop_class_uid not in CT_SOP_CLASSES and "Image Storage" in name and "Secondary Capture" not in name


@dataclass(frozen=True, slots=True)
class Arrival:
    """One C-STORE request. content: the DICOM file (PS3.10), its dataset byte for byte as sent."""

    identity: Identity
    calling_ae: str
    called_ae: str
    peer_address: str
    received_at: datetime
    content: bytes | memoryview


def identify(file: bytes | memoryview) -> Identity:
    """Read only the elements that name the instance from a DICOM file; of a deflated one only the beginning.

    Unidentified if one is missing there or longer than a UID may be, and for bytes that are no dataset, whatever
    pydicom raises: they are in memory, so that an OSError is no failure of a disk.
    """
    try:
        dataset = beginning(BytesIO(file[:MOST_LOOKED_AT_BYTES]), _LOOKED_AT)
        values = {keyword: _text(dataset, keyword) for keyword in _LOOKED_AT}
        transfer_syntax_uid = str(dataset.file_meta.TransferSyntaxUID)
    except Rejected as error:
        raise Unidentified("; ".join(refusal.detail for refusal in error.refusals)) from error
    except (*UNPARSABLE, OSError) as error:
        raise Unidentified(f"the dataset cannot be parsed ({type(error).__name__})") from error
    if missing := [keyword for keyword in _UIDS if not values[keyword]]:
        raise Unidentified(f"{', '.join(missing)} missing from the dataset")
    if too_long := [keyword for keyword in _UIDS if len(values[keyword]) > _LONGEST_UID]:
        raise Unidentified(f"{', '.join(too_long)} longer than {_LONGEST_UID} characters")
    return Identity(
        sop_class_uid=values["SOPClassUID"],
        sop_instance_uid=values["SOPInstanceUID"],
        study_uid=values["StudyInstanceUID"],
        series_uid=values["SeriesInstanceUID"],
        modality=values["Modality"],
        transfer_syntax_uid=transfer_syntax_uid,
        acquired_at=_acquired_at(*(values[keyword] for keyword in _TIMES)),
        urgency=requested(values[_PRIORITY]),
    )


def patient_id(file: BinaryIO) -> str:
    """Patient ID (0010,0020) of a DICOM file, the first if there are several; "" where it has none that can be read."""
    try:
        value = beginning(file, ("SpecificCharacterSet", "PatientID")).get("PatientID")
        first = value[0] if isinstance(value, MultiValue) and value else value
        return first if isinstance(first, str) else ""
    except (Rejected, OSError, *UNPARSABLE):
        return ""


def _text(dataset: Dataset, keyword: str) -> str:
    """The raw value as text: no conversion, so that invalid UIDs survive and no warning prints them."""
    value = dataset.get_item(keyword).value if keyword in dataset else None
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return text.strip(" \0")


def _acquired_at(date_time: str, date: str, time: str, offset: str) -> datetime | None:
    """PS3.3 C.7.6.16.2.2 / C.7.6.1. Without an offset the clock of this machine's time zone is assumed."""
    text = date_time or (date + time if date and time else "")
    if text and offset and not set(text) & set("+-"):
        text += offset
    try:
        return DT(text).astimezone(UTC) if text else None
    except UNPARSABLE:
        return None
