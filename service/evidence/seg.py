"""The two Segmentations (PS3.3 A.51): lobes, and findings. Two, because overlapping segments hide each other."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

import highdicom as hd
import numpy as np
from highdicom import seg
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from service.domain import codes
from service.domain.codes import Coded
from service.domain.ct import CT
from service.domain.findings import Finding, LabelArray, Lobe
from service.evidence import equipment
from service.evidence.case import Case
from service.evidence.context import FINDINGS, LOBES, Product, SegKind
from service.evidence.series import series
from service.evidence.uids import Uids

Label = TypeVar("Label", Lobe, Finding)

_TRANSFER_SYNTAXES = {SegKind.BINARY: ExplicitVRLittleEndian, SegKind.LABELMAP: RLELossless}
"""Plain frames of labels take eight times the room of bits."""


def lobes_seg(case: Case) -> seg.Segmentation | None:
    """Lobes as segments; None when all are empty."""
    return _segmentation(LOBES, case, case.analysis.lobe_mask, codes.LOBES, codes.ANATOMY)


def findings_seg(case: Case) -> seg.Segmentation | None:
    """Kinds of finding as segments; None when there is no finding."""
    return _segmentation(FINDINGS, case, case.analysis.finding_mask, codes.FINDINGS, codes.MORPHOLOGY)


def segment_numbers(segmentation: seg.Segmentation) -> dict[str, int]:
    """Segment number by tracking identifier, which is the label's name ("RUL", "GROUND_GLASS", ...)."""
    return {str(item.TrackingID): int(item.SegmentNumber) for item in segmentation.SegmentSequence}


def _segmentation(
    product: Product, case: Case, labels: LabelArray, concepts: Mapping[Label, Coded], category: Code
) -> seg.Segmentation | None:
    """Empty segments are dropped: highdicom would write every frame of the volume for them."""
    present = [label for label in concepts if np.any(labels == label)]
    if not present:
        return None
    algorithms = equipment.segment_algorithms(case.analysis)
    segmentation = seg.Segmentation(
        source_images=case.sources,
        pixel_array=_in_frame_order(_numbered(labels, present), case.ct),
        segmentation_type=seg.SegmentationTypeValues[case.style.seg.name],
        segment_descriptions=[
            _description(number, label.name, concepts[label], category, algorithms, case.uids)
            for number, label in enumerate(present, start=1)
        ],
        content_label=product.kind.upper(),
        content_description=codes.RESEARCH_USE.meaning,
        content_creator_name=equipment.CREATOR,
        omit_empty_frames=not case.style.all_frames,
        transfer_syntax_uid=_TRANSFER_SYNTAXES[case.style.seg],
        contributing_equipment=equipment.contributing_equipment(case.analysis),
        **series(case, product),
        **equipment.equipment(case.context),
    )
    _drop_background(segmentation)
    segmentation.BodyPartExamined = "CHEST"
    return segmentation


def _drop_background(segmentation: seg.Segmentation) -> None:
    """Remove the item that highdicom adds for a LABELMAP's background, value 0.

    The Pixel Padding Value names the background (PS3.3 C.8.20.2). OHIF 3.11 and 3.13 take the first item for
    segment 1, show it in black, and give every other segment the colour of its neighbour.
    """
    segmentation.SegmentSequence = [item for item in segmentation.SegmentSequence if item.SegmentNumber > 0]


def _numbered(labels: LabelArray, present: Sequence[Lobe] | Sequence[Finding]) -> LabelArray:
    """Segment numbers 1..n instead of label values; the same array where they already agree."""
    numbers = np.zeros(256, np.uint8)
    numbers[list(present)] = range(1, len(present) + 1)
    return labels if np.array_equal(numbers[1 : len(present) + 1], present) else numbers[labels]


def _in_frame_order(labels: LabelArray, ct: CT) -> LabelArray:
    """Enhanced CT: one plane per source frame, in the order of the frames; classic CT: unchanged."""
    if not ct.frame_numbers:
        return labels
    frames = np.zeros((int(ct.headers[0].NumberOfFrames), *labels.shape[1:]), np.uint8)
    frames[np.array(ct.frame_numbers) - 1] = labels
    return frames


def _description(
    number: int,
    name: str,
    concept: Coded,
    category: Code,
    algorithms: hd.AlgorithmIdentificationSequence,
    uids: Uids,
) -> seg.SegmentDescription:
    description = seg.SegmentDescription(
        segment_number=number,
        segment_label=concept.label,
        segmented_property_category=category,
        segmented_property_type=concept.type,
        algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithms,
        tracking_uid=uids("tracking", name),
        tracking_id=name,
        anatomic_regions=[codes.LUNG],
        display_color=hd.color.CIELabColor.from_rgb(*concept.rgb),
    )
    if concept.laterality is not None:
        modifier = hd.sr.CodedConcept.from_code(concept.laterality)
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    return description
