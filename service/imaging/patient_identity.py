"""Whose a CT is, and how it was scanned, as its headers say: what a comparison with an earlier CT asks for."""

from collections.abc import Sequence
from datetime import datetime

from pydicom import Dataset

from service.domain.prior import Acquisition, Patient
from service.domain.scanner import UNKNOWN, scanner
from service.imaging.attributes import Unreadable, known_text, optional_number
from service.imaging.contrast import contrast_given
from service.imaging.facts import kernels_of


def patient_of(header: Dataset) -> Patient:
    """The patient of a header; a malformed attribute is one that is not there."""
    names = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "PatientSex")
    patient_id, issuer, name, birth_date, sex = (known_text(header, one).strip() for one in names)
    return Patient(patient_id, issuer, name, birth_date, sex, _entity(header))


def _entity(header: Dataset) -> str:
    """Universal Entity ID (0040,0032) and its type (0040,0033) of the issuer; "" without both."""
    qualifiers = header.get("IssuerOfPatientIDQualifiersSequence")
    if not isinstance(qualifiers, Sequence) or not qualifiers:
        return ""
    names = ("UniversalEntityID", "UniversalEntityIDType")
    told = [known_text(qualifiers[0], name).strip() for name in names]
    return " ".join(told) if all(told) else ""


def acquisition_of(headers: Sequence[Dataset], acquired_at: datetime) -> Acquisition:
    """How a CT was scanned, by the first of its headers. acquired_at: its acquisition, as local time of the scanner."""
    header = headers[0]
    made_by = scanner(known_text(header, "Manufacturer"), known_text(header, "ManufacturerModelName"))
    return Acquisition(
        acquired_at=acquired_at,
        scanner="" if made_by == UNKNOWN else made_by,
        kernel="/".join(kernels_of(header))[:64],
        thickness_mm=_thickness_mm(header),
        has_contrast=bool(contrast_given(header)),
    )


def _thickness_mm(header: Dataset) -> float | None:
    try:
        return optional_number(header, "SliceThickness")
    except Unreadable:
        return None
