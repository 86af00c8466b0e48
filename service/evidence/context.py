"""What evidence is, and what besides the CT and its analysis decides its bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType


class SegKind(StrEnum):
    """How a Segmentation holds its voxels: a bit for each segment, or one array of segment numbers (PS3.3 C.8.20.2)."""

    BINARY = "binary"
    LABELMAP = "labelmap"


@dataclass(frozen=True, slots=True)
class Style:
    """What a destination wants Segmentations to be like.

    all_frames: also the frames without any voxel of a segment, for viewers that misplace the others without them.
    """

    seg: SegKind = SegKind.BINARY
    all_frames: bool = False

    @property
    def name(self) -> str:
        """For file names and the database: "binary", "labelmap", "binary.all-frames", "labelmap.all-frames"."""
        return f"{self.seg}.all-frames" if self.all_frames else str(self.seg)


DEFAULT_STYLE = Style()


@dataclass(frozen=True, slots=True)
class Product:
    """One kind of evidence object. description: Series Description (LO, 64 characters)."""

    kind: str
    file_name: str
    series_number: int
    description: str

    def file_name_in(self, style: Style | None) -> str:
        """Unique in a set of several styles; plain for the default style and for what belongs to every style."""
        if style is None or style == DEFAULT_STYLE:
            return self.file_name
        kind, rest = self.file_name.split(".", 1)
        return f"{kind}.{style.name}.{rest}"


def _product(kind: str, file_name: str, series_number: int, what: str) -> Product:
    return Product(kind, file_name, series_number, f"{what} - research use only (AI, unverified)")


LOBES = _product("lobes", "lobes.seg.dcm", 9001, "Lung lobes")
FINDINGS = _product("findings", "findings.seg.dcm", 9002, "Lung opacities")
MEASUREMENTS = _product("measurements", "measurements.sr.dcm", 9003, "Lung measurements")
STUDY = _product("study", "study.sr.dcm", 9004, "Lung severity")
REPORT = _product("report", "report.pdf", 9005, "Chest CT report")
REPORT_DICOM = _product("report-dicom", "report.pdf.dcm", 9005, "Chest CT report")
CAPTURE = _product("capture", "report.sc.dcm", 9006, "Chest CT report, picture")
NOTICE = _product("notice", "notice.sr.dcm", 9007, "Chest CT not analysed")
NOTICE_PAGE = _product("notice-page", "notice.pdf", 9008, "Chest CT not analysed")
NOTICE_PAGE_DICOM = _product("notice-page-dicom", "notice.pdf.dcm", 9008, "Chest CT not analysed")

FILE_NAMES = tuple(
    product.file_name
    for product in (
        *(LOBES, FINDINGS, MEASUREMENTS, STUDY, REPORT, REPORT_DICOM, CAPTURE),
        *(NOTICE, NOTICE_PAGE, NOTICE_PAGE_DICOM),
    )
)
"""In the default style."""

NEEDS: Mapping[str, frozenset[str]] = MappingProxyType({MEASUREMENTS.kind: frozenset({LOBES.kind, FINDINGS.kind})})
"""Kinds of object that a kind refers to besides the CT: where these are not, it is not sent."""


@dataclass(frozen=True, slots=True)
class Predecessor:
    """One object of an earlier result that this one replaces. study_uid: where it was filed."""

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str


@dataclass(frozen=True, slots=True)
class EvidenceContext:
    """Everything else that goes into the bytes; the same context gives the same bytes.

    at: Content Date and Time of all objects, see `times.evidence_time`.
    institution: printed where the CT does not name one.
    predecessors: objects of the result that this one replaces; not in the `repr`, of which UIDs are made: without any
        predecessor they are the same as ever.
    """

    software_version: str
    at: datetime
    institution: str = ""
    predecessors: tuple[Predecessor, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One finished file. The UIDs are None for a file that is not DICOM.

    style: for which destinations it is; None: for all. A destination takes those with `style in (None, its_style)`.
    """

    kind: str
    file_name: str
    content: bytes
    sop_class_uid: str | None
    sop_instance_uid: str | None
    style: Style | None = None
    series_uid: str | None = None
