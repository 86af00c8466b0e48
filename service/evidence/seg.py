"""Segmentations (PS3.3 A.51), one for each label map: overlapping segments would hide each other."""

from collections.abc import Sequence

import highdicom as hd
import numpy as np
from highdicom import seg
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

from service.domain import codes
from service.domain.analysis import LabelArray, LabelMap, Segment
from service.domain.ct import CT
from service.evidence import equipment
from service.evidence.case import Case
from service.evidence.context import Product, SegKind
from service.evidence.series import series
from service.evidence.uids import Uids

_TRANSFER_SYNTAXES = {SegKind.BINARY: ExplicitVRLittleEndian, SegKind.LABELMAP: RLELossless}
"""Plain frames of labels take eight times the room of bits."""


def segmentation(product: Product, case: Case, label_map: LabelMap) -> seg.Segmentation | None:
    """The segments of a label map that have voxels; None when none has.

    Empty segments are dropped: highdicom would write every frame of the volume for them.
    """
    present = label_map.present
    if not present:
        return None
    algorithms = equipment.segment_algorithms(case.analysis)
    made = seg.Segmentation(
        source_images=case.sources,
        pixel_array=_in_frame_order(_numbered(label_map.labels, present), case.ct),
        segmentation_type=seg.SegmentationTypeValues[case.style.seg.name],
        segment_descriptions=[
            _description(number, segment, algorithms, case.uids) for number, segment in enumerate(present, start=1)
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
    _drop_background(made)
    made.BodyPartExamined = "CHEST"
    return made


def segment_numbers(made: seg.Segmentation) -> dict[str, int]:
    """Segment number by tracking identifier, which is the segment's name ("RUL", "GROUND_GLASS", ...)."""
    return {str(item.TrackingID): int(item.SegmentNumber) for item in made.SegmentSequence}


def _drop_background(segmentation: seg.Segmentation) -> None:
    """Remove the item that highdicom adds for a LABELMAP's background, value 0.

    The Pixel Padding Value names the background (PS3.3 C.8.20.2). OHIF 3.11 and 3.13 take the first item for
    segment 1, show it in black, and give every other segment the colour of its neighbour.
    """
    segmentation.SegmentSequence = [item for item in segmentation.SegmentSequence if item.SegmentNumber > 0]


def _numbered(labels: LabelArray, present: Sequence[Segment]) -> LabelArray:
    """Segment numbers 1..n instead of label values; the same array where they already agree."""
    values = [segment.label for segment in present]
    numbers = np.zeros(256, np.uint8)
    numbers[values] = range(1, len(present) + 1)
    return labels if np.array_equal(numbers[1 : len(present) + 1], values) else numbers[labels]


def _in_frame_order(labels: LabelArray, ct: CT) -> LabelArray:
    """Enhanced CT: one plane per source frame, in the order of the frames; classic CT: unchanged."""
    if not ct.frame_numbers:
        return labels
    frames = np.zeros((int(ct.headers[0].NumberOfFrames), *labels.shape[1:]), np.uint8)
    frames[np.array(ct.frame_numbers) - 1] = labels
    return frames


def _description(
    number: int, segment: Segment, algorithms: hd.AlgorithmIdentificationSequence, uids: Uids
) -> seg.SegmentDescription:
    description = seg.SegmentDescription(
        segment_number=number,
        segment_label=segment.title,
        segmented_property_category=segment.category,
        segmented_property_type=segment.type,
        algorithm_type=seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithms,
        tracking_uid=uids("tracking", segment.name),
        tracking_id=segment.name,
        anatomic_regions=[segment.region],
        display_color=hd.color.CIELabColor.from_rgb(*segment.rgb),
    )
    if segment.laterality is not None:
        modifier = hd.sr.CodedConcept.from_code(segment.laterality)
        description.SegmentedPropertyTypeCodeSequence[0].SegmentedPropertyTypeModifierCodeSequence = [modifier]
    return description
