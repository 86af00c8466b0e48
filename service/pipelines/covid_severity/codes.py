"""Coded concepts of this pipeline."""

from pydicom.sr.codedict import codes as dicom
from pydicom.sr.coding import Code

from service.domain import codes
from service.domain.analysis import LabelMapKind, Segment
from service.domain.codes import private
from service.pipelines.covid_severity.opacities import Opacity
from service.pipelines.covid_severity.score import WITHIN_NORMAL, Category

FINDINGS_KIND = LabelMapKind("findings", "AI opacities", private("OBJ-FINDINGS", "Segmentation of lung opacities"))

OPACITIES = {
    kind: Segment(kind, kind.name, title, codes.MORPHOLOGY, concept, rgb)
    for kind, title, concept, rgb in (
        (Opacity.GROUND_GLASS, "Ground-glass opacity", dicom.DCM.GroundGlassOpacity, (230, 159, 0)),
        (Opacity.HIGH_OPACITY, "High opacity", dicom.DCM.AbnormalOpacity, (213, 94, 0)),
    )
}

OPACITY_VOLUME = private("OPAC-VOL", "Volume of opacity within lung region")
PERCENT_AFFECTED = private("PCT-AFF", "Affected volume as percent of lung region volume")
LOBE_SCORE = private("CTSS-L", "CT severity score, Pan 2020, lobe (0-5)")
TOTAL_SCORE = private("CTSS-T", "CT severity score, Pan 2020, total (0-25)")
LOBE_SCORE_FLOOR = private("CTSS-LF", "CT severity score, Pan 2020, with noise floor, lobe (0-5)")
TOTAL_SCORE_FLOOR = private("CTSS-TF", "CT severity score, Pan 2020, with noise floor, total (0-25)")
FLOOR_VOLUME = private("FLOOR-ML", "Noise floor: opacity volume in one lobe of normal lungs")
FLOOR_PERCENT = private("FLOOR-PCT", "Noise floor: opacity of one lobe of normal lungs, percent")
AGREEMENT_LUNGS = private("AGREE-L", "Dice of lungs found in original and mirrored images")
AGREEMENT_OPACITIES = private("AGREE-O", "Dice of opacities found in original and mirrored images")
INVOLVEMENT = private("INVOLV", "Involvement by CT severity score, Pan 2020")
INVOLVEMENT_FLOOR = private("INVOLV-F", "Involvement by CT severity score, Pan 2020, with noise floor")
WITHIN_NORMAL_LUNGS = private("INVOLV-NORMAL", f"None: {WITHIN_NORMAL}")
NOT_TOLD_APART = private("NOT-APART", "Mass, atelectasis, effusion: not told from consolidation")
IMAGING_PATTERN = private("INFPAT", "Lung infection imaging pattern")

CATEGORIES: dict[Category, Code] = {
    "none": dicom.SCT.None_,
    "mild": dicom.SCT.Mild,
    "moderate": dicom.SCT.Moderate,
    "severe": dicom.SCT.Severe,
}

VOLUME_OF = {
    Opacity.GROUND_GLASS: private("GGO-VOL", "Volume of ground-glass opacity within lung region"),
    Opacity.HIGH_OPACITY: private("HIGH-VOL", "Volume of high opacity within lung region"),
}
"""The kinds of opacity in a region of lung."""
