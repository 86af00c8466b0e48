"""What evidence is, and what besides the CT and its analysis decides its bytes."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Product:
    """One kind of evidence object. description: Series Description (LO, 64 characters)."""

    kind: str
    file_name: str
    series_number: int
    description: str


def _product(kind: str, file_name: str, series_number: int, what: str) -> Product:
    return Product(kind, file_name, series_number, f"{what} - research use only (AI, unverified)")


LOBES = _product("lobes", "lobes.seg.dcm", 9001, "Lung lobes")
FINDINGS = _product("findings", "findings.seg.dcm", 9002, "Lung opacities")
MEASUREMENTS = _product("measurements", "measurements.sr.dcm", 9003, "Lung measurements")
STUDY = _product("study", "study.sr.dcm", 9004, "Lung severity")
REPORT = _product("report", "report.pdf", 9005, "Chest CT report")
REPORT_DICOM = _product("report-dicom", "report.pdf.dcm", 9005, "Chest CT report")

FILE_NAMES = tuple(product.file_name for product in (LOBES, FINDINGS, MEASUREMENTS, STUDY, REPORT, REPORT_DICOM))


@dataclass(frozen=True, slots=True)
class EvidenceContext:
    """Everything else that goes into the bytes; the same context gives the same bytes.

    at: Content Date and Time of all objects, see `times.evidence_time`.
    institution: printed where the CT does not name one.
    """

    software_version: str
    at: datetime
    institution: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One finished file. The UIDs are None for a file that is not DICOM."""

    kind: str
    file_name: str
    content: bytes
    sop_class_uid: str | None
    sop_instance_uid: str | None
