"""The label map of lung opacities: how each kind is coded, named and coloured, and what is measured of it."""

from pydicom.sr.codedict import codes as dicom

from service.domain import codes
from service.domain.analysis import LabelArray, LabelMap, LabelMapKind, Segment
from service.domain.codes import private
from service.pipelines.shared.opacities import Opacity

KIND = LabelMapKind("findings", "AI opacities", private("OBJ-FINDINGS", "Segmentation of lung opacities"))

SEGMENT_OF = {
    kind: Segment(kind, kind.name, title, codes.MORPHOLOGY, concept, rgb)
    for kind, title, concept, rgb in (
        (Opacity.GROUND_GLASS, "Ground-glass opacity", dicom.DCM.GroundGlassOpacity, (230, 159, 0)),
        (Opacity.HIGH_OPACITY, "High opacity", dicom.DCM.AbnormalOpacity, (213, 94, 0)),
    )
}

OPACITY_VOLUME = private("OPAC-VOL", "Volume of opacity within lung region")
PERCENT_AFFECTED = private("PCT-AFF", "Affected volume as percent of lung region volume")

VOLUME_OF = {
    Opacity.GROUND_GLASS: private("GGO-VOL", "Volume of ground-glass opacity within lung region"),
    Opacity.HIGH_OPACITY: private("HIGH-VOL", "Volume of high opacity within lung region"),
}
"""The kinds of opacity in a region of lung."""

NOT_TOLD_APART = private("NOT-APART", "Mass, atelectasis, effusion: not told from consolidation")


def label_map(opacity_mask: LabelArray) -> LabelMap:
    """opacity_mask: labels (`Opacity`), axes (slice, row, column)."""
    return LabelMap(KIND, opacity_mask, tuple(SEGMENT_OF.values()))
