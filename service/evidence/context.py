"""Kinds of evidence, and everything besides the CT and its analysis that determines its bytes."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Self

from service.domain.analysis import LabelMapKind, PipelineUse
from service.errors import Reason


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
    """One kind of evidence object.

    offset: of its Series Number in the pipeline's block. title: what a list of series shows. several: a result may have
    more than one of it, each with a name of its own.
    """

    kind: str
    file_name: str
    offset: int
    title: str
    several: bool = False

    def named(self, name: str, number: int) -> Self:
        """One of several. number: from 0, of its Series Number."""
        return replace(self, file_name=self._with(name), offset=self.offset + number, title=f"{self.title} {name}")

    def file_name_in(self, style: Style | None) -> str:
        """Unique in a set of several styles; plain for the default style and for what belongs to every style."""
        if style is None or style == DEFAULT_STYLE:
            return self.file_name
        return self._with(style.name)

    def file_name_of(self, style: Style, kinds: Iterable[str]) -> str:
        """Unique for what refers to objects of these kinds in one style."""
        return self._with(f"{style.name}.{'+'.join(kinds) or 'alone'}")

    def may_be(self, file_name: str) -> bool:
        """Whether this is a name that the product has in some style."""
        kind, rest = self.file_name.split(".", 1)
        style = rf"\.({'|'.join(SegKind)})(\.all-frames)?(\.[a-z+-]+)?"
        name = r"\.[a-z0-9_]+" if self.several else ""
        return re.fullmatch(rf"{kind}({style})?{name}\.{re.escape(rest)}", file_name) is not None

    def _with(self, what: str) -> str:
        kind, rest = self.file_name.split(".", 1)
        return f"{kind}.{what}.{rest}"


MEASUREMENTS = Product("measurements", "measurements.sr.dcm", 3, "AI measurements")
STUDY = Product("study", "study.sr.dcm", 4, "AI summary")
REPORT = Product("report", "report.pdf", 5, "AI report")
REPORT_DICOM = Product("report-dicom", "report.pdf.dcm", 5, "AI report")
CAPTURE = Product("capture", "report.sc.dcm", 6, "AI report picture")
NOTICE = Product("notice", "notice.sr.dcm", 7, "AI not analysed")
NOTICE_PAGE = Product("notice-page", "notice.pdf", 8, "AI not analysed")
NOTICE_PAGE_DICOM = Product("notice-page-dicom", "notice.pdf.dcm", 8, "AI not analysed")
TEXT = Product("text", "report.sr.dcm", 9, "AI text report")
STRUCTURE_SET = Product("structure-set", "structure-set.rt.dcm", 70, "AI structure set")
AXES = Product("axes", "axes.sr.dcm", 71, "AI axes")
HEAT_MAP = Product("heat-map", "heat-map.pm.dcm", 80, "AI heat map", several=True)

PRODUCTS = (
    *(MEASUREMENTS, AXES, STUDY, REPORT, REPORT_DICOM, CAPTURE, TEXT, STRUCTURE_SET, HEAT_MAP),
    *(NOTICE, NOTICE_PAGE, NOTICE_PAGE_DICOM),
)
"""Kinds of evidence that any pipeline gives. Every other kind is a Segmentation, named by its label map."""

_KINDS = frozenset(product.kind for product in PRODUCTS)

SEG = "seg"
"""In a selection: Segmentations, of whatever label map."""

NOTICES = (NOTICE.kind, NOTICE_PAGE_DICOM.kind)
"""Kinds of objects that say why nothing was analysed."""

ALWAYS = frozenset((SEG, MEASUREMENTS.kind, AXES.kind, STUDY.kind, REPORT_DICOM.kind))
"""Kinds of DICOM objects that every result has, as far as there is something to say."""

NEEDED = frozenset((SEG, MEASUREMENTS.kind))
"""Kinds without which nothing is sent that refers to them. A page or picture may be missing."""

_FIRST_OFFSETS, _MORE_OFFSETS = (1, 2), 10


def segmentation_products(label_maps: Iterable[LabelMapKind]) -> tuple[Product, ...]:
    """The Segmentations of a pipeline's label maps; ValueError for a name that another product has."""
    kinds = list(label_maps)
    if taken := {kind.name for kind in kinds} & (_KINDS | {SEG}):
        raise ValueError(f"label maps cannot be named {', '.join(sorted(taken))}: other products are")
    offsets = (*_FIRST_OFFSETS, *range(_MORE_OFFSETS, _MORE_OFFSETS + len(kinds)))
    named = zip(kinds, offsets, strict=False)
    return tuple(Product(kind.name, f"{kind.name}.seg.dcm", offset, kind.title) for kind, offset in named)


def is_segmentation(kind: str) -> bool:
    """Whether objects of this kind are Segmentations."""
    return kind not in _KINDS


def selects(kinds: Collection[str], kind: str) -> bool:
    """Whether a selection of kinds holds this one."""
    return kind in kinds or (SEG in kinds and is_segmentation(kind))


@dataclass(frozen=True, slots=True)
class Selection:
    """What one destination gets of a result. Its study SR, the root of the result, refers to these objects only."""

    style: Style = DEFAULT_STYLE
    kinds: frozenset[str] = ALWAYS


@dataclass(frozen=True, slots=True)
class Predecessor:
    """One object of an earlier result that this one replaces. study_uid: where it was filed."""

    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    study_uid: str


@dataclass(frozen=True, slots=True)
class Earlier:
    """The result that this one replaces. notice: it said why nothing was analysed. objects: of it, in the archives."""

    number: int
    analysed_at: datetime | None
    notice: bool
    objects: tuple[Predecessor, ...]


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A series that suits the analysis better than the analysed one, but was refused. number: its Series Number."""

    reasons: tuple[Reason, ...]
    number: int | None


@dataclass(frozen=True, slots=True)
class EvidenceContext:
    """Everything else that goes into the bytes; the same context gives the same bytes.

    analysed_at: when the analysis began, aware; the date and time of all objects (`times.written`).
    pipeline: that made the result, or could analyse nothing.
    institution: printed where the CT does not name one.
    number: of the result, rising with each one of the study: 1, 2, 3, …
    passed_over: better series of the study, the best first.
    """

    software_version: str
    analysed_at: datetime
    pipeline: PipelineUse
    institution: str = ""
    number: int = 1
    replaces: Earlier | None = None
    passed_over: tuple[PassedOver, ...] = ()

    @property
    def passed_over_warnings(self) -> tuple[str, ...]:
        """One sentence for each better series."""
        return tuple(
            f"A better series was not analysed: {', '.join(one.reasons)}, "
            f"series {'without number' if one.number is None else one.number}."
            for one in self.passed_over
        )


@dataclass(frozen=True, slots=True)
class Evidence:
    """One finished file. The UIDs are None for a file that is not DICOM.

    style: for which destinations it is; None: for all. A destination takes those with `style in (None, its_style)`.
    refers_to: SOP Instance UIDs of the result's other objects that it points at.
    """

    kind: str
    file_name: str
    content: bytes
    sop_class_uid: str | None
    sop_instance_uid: str | None
    style: Style | None = None
    series_uid: str | None = None
    refers_to: tuple[str, ...] = ()
