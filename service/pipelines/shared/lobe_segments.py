"""The label map of lung lobes: how each lobe is coded, named and coloured."""

from pydicom.sr.codedict import codes as dicom

from service.domain import codes
from service.domain.analysis import LabelArray, LabelMap, LabelMapKind, Segment, Site
from service.domain.anatomy import Lobe

KIND = LabelMapKind("lobes", "AI lobes", codes.private("OBJ-LOBES", "Segmentation of lung lobes"))

SEGMENTS = tuple(
    Segment(lobe, lobe.name, title, codes.ANATOMY, concept, rgb, laterality)
    for lobe, title, concept, laterality, rgb in (
        (Lobe.RUL, "Right upper lobe", dicom.SCT.UpperLobeOfLung, codes.RIGHT, (86, 180, 233)),
        (Lobe.RML, "Right middle lobe", dicom.SCT.MiddleLobeOfRightLung, None, (0, 158, 115)),
        (Lobe.RLL, "Right lower lobe", dicom.SCT.LowerLobeOfLung, codes.RIGHT, (0, 114, 178)),
        (Lobe.LUL, "Left upper lobe", dicom.SCT.UpperLobeOfLung, codes.LEFT, (240, 228, 66)),
        (Lobe.LLL, "Left lower lobe", dicom.SCT.LowerLobeOfLung, codes.LEFT, (204, 121, 167)),
    )
)

SEGMENT_OF = {Lobe(segment.label): segment for segment in SEGMENTS}


def label_map(lobe_mask: LabelArray) -> LabelMap:
    """lobe_mask: labels (`Lobe`), axes (slice, row, column)."""
    return LabelMap(KIND, lobe_mask, SEGMENTS)


def site(lobe: Lobe) -> Site:
    """The lobe as a finding site."""
    segment = SEGMENT_OF[lobe]
    return Site(segment.type, segment.laterality)
