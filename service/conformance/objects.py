"""Section 10.1: the objects that we create, and their attributes with where each value comes from."""

import sys
from collections.abc import Collection, Sequence
from importlib import resources

from pydicom.uid import UID

from service.conformance.attributes import COPIED, EVERYTHING, Attribute, Path, attributes
from service.conformance.rows import Section, Table, table
from service.conformance.sample_results import CHANGES, FIRST, LABEL_MAP, sample_results
from service.domain.pipeline import SERIES_NUMBERS, Pipeline
from service.evidence.context import (
    AXES,
    CAPTURE,
    HEAT_MAP,
    MEASUREMENTS,
    NOTICE,
    NOTICE_PAGE_DICOM,
    REPORT_DICOM,
    SEG,
    STRUCTURE_SET,
    STUDY,
    TEXT,
    Product,
    SegKind,
    Style,
    segmentation_products,
)
from service.evidence.series import PER_RESULT
from service.network.renditions import class_name
from service.pipelines import PIPELINES
from service.settings import Settings

_CONTENT = {
    MEASUREMENTS: "TID 1500 with one TID 1411 group per segment, without what was measured along lines; use "
    "limitation and quality flags as Qualitative Evaluations",
    AXES: "TID 1500 with a TID 1501 group for each segment of which something was measured along lines, with SCOORD "
    "or SCOORD3D, under the tracking UID of the segment; refers to the segment, and to the image that shows it best "
    "(DCM 121080); of pipelines that measure along lines",
    STUDY: "TID 1500 with TID 1501 groups: what is about the whole study; probabilities of classes, the class decided "
    "for, and whether the model is experimental, where a pipeline classifies; where it is compared with an earlier CT, "
    "the values of then at their time point (TID 1502), changes, changes per year, and the earlier objects in a "
    "container (122075, DCM), which are Pertinent Other Evidence; quality flags with the values that "
    "raised them as text, use limitation; the root of the result, sent last: refers to all other objects that the "
    "destination gets; where Segmentations are refused, one that refers to neither them nor the measurements goes out "
    "instead",
    REPORT_DICOM: "one page",
    CAPTURE: "the same page, RGB, 150 dpi, burned-in annotation; on request",
    NOTICE: "why nothing of a study was analysed, and what can be done; on request, instead of all the others",
    NOTICE_PAGE_DICOM: "the same on a page",
    TEXT: "the numbers of the page in sentences; on request",
    STRUCTURE_SET: "an ROI for each segment of the label maps, with CLOSED_PLANAR contours in the planes of the "
    "slices; a hole is joined to the contour around it (keyhole technique); on request",
    HEAT_MAP: "what made a model decide, 0 to 1, 16 bits, on the slices where there is something; of pipelines that "
    "tell it, on request",
}
_LABELS = "the segments that the pipeline declares, each with Segmented Property Category and Type and Anatomic Region"

_FRAMES = {
    Style(SegKind.BINARY, False): "those with voxels of a segment",
    Style(SegKind.BINARY, True): "each slice for each segment",
    Style(SegKind.LABELMAP, False): "those with voxels of any segment",
    Style(SegKind.LABELMAP, True): "each slice",
}

KINDS = {
    SEG: "Segmentation",
    LABEL_MAP: "Label Map Segmentation",
    MEASUREMENTS.kind: "Measurements",
    AXES.kind: "Axes",
    STUDY.kind: "Summary",
    TEXT.kind: "Report as text",
    REPORT_DICOM.kind: "Report",
    CAPTURE.kind: "Report as a picture",
    STRUCTURE_SET.kind: "Structure set",
    HEAT_MAP.kind: "Heat map",
    NOTICE.kind: "Notice",
    NOTICE_PAGE_DICOM.kind: "Page of the notice",
}
"""Kinds of objects whose attributes are told, and their titles."""


def objects(settings: Settings) -> Section:
    """All objects of any pipeline that is installed."""
    return Section(
        "10. Annexes",
        [
            "### 10.1 Objects created",
            "All are filed under the study of the CT, in Explicit VR Little Endian (label maps and heat maps: RLE "
            "Lossless). Series Description: what it is, number of the study's result, time of the analysis, "
            "pipeline, use limitation (`AI summary v2 14:05 NAME research use only`), in ASCII. Series Number: the "
            f"start of the pipeline's block of {SERIES_NUMBERS} and what is added below for a study's first result of "
            f"it, {PER_RESULT} more for each further one. Content, Series and Instance Creation Date and Time: when "
            "the analysis began, in the zone of the CT's Timezone Offset From UTC, which is copied; else local time "
            "of the service, without an offset ([decision 120](../decisions/0120-which-result-is-current.md)).",
            created(),
            "Both Comprehensive 3D SRs identify the algorithms once, by TID 4019 below the root. Each destination "
            "gets Segmentations in the style it wants ([decision 76](../decisions/0076-styles-of-evidence.md)), and "
            "Measurements that refer to them:",
            styles(),
            "Label maps describe no segment 0; Pixel Padding Value 0 is their background. A result that replaces an "
            "earlier one names its SRs in the Predecessor Documents Sequence (0040,A360), and its report tells the "
            "earlier one's number and time.",
            "UIDs derive from all that the bytes are made from: the CT's pixels, geometry and header attributes, the "
            "masks, measurements and flags, the models' digests, the software's version, the institution, the style, "
            "time and number of the analysis, the result that is replaced. The same of all these, on one kind of "
            "processor, gives the same UIDs with the same bytes; a change of any, also of a patient attribute, gives "
            "other UIDs. Verification Flag and Completion: UNVERIFIED, preliminary. Private codes use scheme "
            "99THORACLE.",
            "### 10.2 Pipelines",
            pipelines(settings),
            *(f"#### {one.name}\n\n{own}" for one in PIPELINES if (own := of_its_own(one))),
            "### 10.3 Attributes of the objects created",
            "Found by encoding a sample CT several times, each time with one thing changed: "
            f"{', '.join(CHANGES.values())}. **{COPIED}**: the value of the same attribute of the CT's first image, "
            f"as far as it is legal (section 8). **{EVERYTHING}**: UIDs, and whatever holds some. **the CT** and the "
            "like: what the value is made from. **a CT compressed with loss**: whether any image of the CT says that "
            "it was, or is found to be. **constant**: always this value; … where it is long. "
            "An attribute may be absent where there is nothing to say. Not only the attributes of the patient and the "
            "study that are listed are copied, but whatever the CT has of the modules Patient, Clinical Trial Subject, "
            "General Study, Patient Study and Clinical Trial Study, as highdicom knows them; private ones never. Of an "
            "Enhanced CT there is also the Referenced Frame Number (0008,1160) of each frame of a Segmentation, and "
            "its own SOP class is referred to. The content of SRs is told by their templates (section 10.5).",
            *attribute_tables(),
            "### 10.4 Data dictionary of private attributes\n\nNone: no private data elements are created.",
        ],
    )


def created() -> Table:
    """Kinds of objects."""
    of_first = sample_results()[FIRST][1]
    rows: list[tuple[str, ...]] = []
    for product in segmentation_products(kind for one in PIPELINES[:1] for kind in one.label_maps)[:1]:
        both = f"{_class(of_first[SEG].SOPClassUID)}; or {_class(of_first[LABEL_MAP].SOPClassUID)}"
        rows.append(("label-maps", "Label maps", f"{product.offset}, 2, 10, 11, …", both, _LABELS))
    for product, content in _CONTENT.items():
        offset = f"{product.offset}, {product.offset + 1}, …" if product.several else str(product.offset)
        sop_class = _class(of_first[product.kind].SOPClassUID)
        rows.append((product.kind, KINDS[product.kind], offset, sop_class, content))
    return table("objects", ("Object", "Series Number: start +", "SOP class", "Content"), rows)


def products() -> Sequence[Product]:
    """The kinds of objects, but for label maps."""
    return tuple(_CONTENT)


def styles() -> Table:
    """Styles of Segmentations."""
    of_first = sample_results()[FIRST][1]
    sop_class = {SegKind.BINARY: SEG, SegKind.LABELMAP: LABEL_MAP}
    rows = [
        (
            style.name,
            f"{style.name} (default)" if style == Style() else style.name,
            _class(of_first[sop_class[style.seg]].SOPClassUID),
            frames,
        )
        for style, frames in _FRAMES.items()
    ]
    return table("styles", ("Style", "SOP class", "Frames"), rows)


def pipelines(settings: Settings) -> Table:
    """Pipelines that are installed."""
    running = {one.name for one in settings.pipelines}
    rows = [
        (
            one.name,
            f"`{one.name}` {one.version}",
            "yes" if one.name in running else "no",
            str(one.series_number),
            ", ".join(f"{product.title} (+ {product.offset})" for product in segmentation_products(one.label_maps)),
        )
        for one in PIPELINES
    ]
    return table("pipelines", ("Pipeline", "Runs", "Series Numbers from", "Label maps"), rows)


def of_its_own(pipeline: Pipeline) -> str:
    """What a pipeline says of its objects: `conformance.md` in its folder; "" without one."""
    package = sys.modules[type(pipeline).__module__].__package__
    text = resources.files(package).joinpath("conformance.md") if package else None
    return text.read_text(encoding="utf-8").strip() if text is not None and text.is_file() else ""


def attribute_tables() -> list[str | Table]:
    """First what all objects have in common, then the others of each kind."""
    of_kinds = {kind: attributes(kind) for kind in KINDS}
    first, *rest = of_kinds.values()
    everywhere = [one for one in first if all(one in others for others in rest)]
    common = _whole(everywhere, {one.path for found in of_kinds.values() for one in found})
    parts: list[str | Table] = ["#### All objects", _attributes("all", common)]
    for kind, found in of_kinds.items():
        parts += [f"#### {KINDS[kind]}", _attributes(kind, [one for one in found if one not in common])]
    return parts


def _whole(everywhere: Sequence[Attribute], all_paths: Collection[Path]) -> list[Attribute]:
    """Returns the attributes at the top level, and a sequence only together with all its items."""
    same = {one.path for one in everywhere}
    apart = {path[0] for path in all_paths if path not in same}
    return [one for one in everywhere if one.path[0] not in apart]


def _attributes(kind: str, found: Sequence[Attribute]) -> Table:
    rows = [(one.key, one.name, one.tag_words, one.source, one.value) for one in found]
    return table(f"attributes {kind}", ("Attribute", "Tag", "Source", "Value"), rows)


def _class(sop_class_uid: str) -> str:
    return f"{class_name(UID(sop_class_uid))} ({sop_class_uid})"
