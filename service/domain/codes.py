"""The coded concepts of our SEG and SR objects: standard codes where they exist, private ones (99THORACLE) else.

Codes are `pydicom.sr.coding.Code`: value, scheme designator, meaning (64 characters at most, PS3.5 6.2).
"""

from dataclasses import dataclass

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from service.domain.findings import Finding, Lobe
from service.domain.severity import WITHIN_NORMAL, Category
from service.errors import Flag

PRIVATE = "99THORACLE"
PRIVATE_NAME = "Thoracle private codes"

Rgb = tuple[int, int, int]


def private(value: str, meaning: str) -> Code:
    """A code of our own scheme; ValueError where it breaks SH (16) or LO (64 characters)."""
    if len(value) > 16 or len(meaning) > 64:
        raise ValueError(f"private code {value!r} ({meaning!r}) is too long")
    return Code(value, PRIVATE, meaning)


@dataclass(frozen=True, slots=True)
class Coded:
    """How one segment is coded, named and coloured. laterality: modifier of `type`, None where `type` says it."""

    label: str
    type: Code
    laterality: Code | None
    rgb: Rgb


LEFT: Code = codes.SCT.Left
RIGHT: Code = codes.SCT.Right
LUNG: Code = codes.SCT.Lung
ANATOMY: Code = codes.SCT.AnatomicalStructure
MORPHOLOGY: Code = codes.SCT.MorphologicallyAbnormalStructure

LOBES = {
    Lobe.RUL: Coded("Right upper lobe", codes.SCT.UpperLobeOfLung, RIGHT, (86, 180, 233)),
    Lobe.RML: Coded("Right middle lobe", codes.SCT.MiddleLobeOfRightLung, None, (0, 158, 115)),
    Lobe.RLL: Coded("Right lower lobe", codes.SCT.LowerLobeOfLung, RIGHT, (0, 114, 178)),
    Lobe.LUL: Coded("Left upper lobe", codes.SCT.UpperLobeOfLung, LEFT, (240, 228, 66)),
    Lobe.LLL: Coded("Left lower lobe", codes.SCT.LowerLobeOfLung, LEFT, (204, 121, 167)),
}

FINDINGS = {
    Finding.GROUND_GLASS: Coded("Ground-glass opacity", codes.DCM.GroundGlassOpacity, None, (230, 159, 0)),
    Finding.HIGH_OPACITY: Coded("High opacity", codes.DCM.AbnormalOpacity, None, (213, 94, 0)),
}

VOLUME: Code = codes.SCT.Volume
ATTENUATION: Code = codes.DCM.AttenuationCoefficient
MEAN: Code = codes.SCT.Mean
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

MILLILITRE = Code("mL", "UCUM", "mL")
PERCENT: Code = codes.UCUM.Percent
HOUNSFIELD: Code = codes.UCUM.HounsfieldUnit
UNITY: Code = codes.UCUM.NoUnits
SCORE = Code("{score}", "UCUM", "score")

CATEGORIES: dict[Category, Code] = {
    "none": codes.SCT.None_,
    "mild": codes.SCT.Mild,
    "moderate": codes.SCT.Moderate,
    "severe": codes.SCT.Severe,
}

IMAGING_PATTERN = private("INFPAT", "Lung infection imaging pattern")
CLASSIFICATION = private("CLASSIF", "Classification")
NO_CLASSIFIER = private("CLASSIF-NONE", "No validated model installed")

USE_LIMITATION = private("USE-LIM", "Use limitation")
NOT_TOLD_APART = private("NOT-APART", "Mass, atelectasis, effusion: not told from consolidation")
RESEARCH_USE = private("RUO", "Research use only. Not for diagnostic use")

QUALITY = private("QUALITY", "Quality warning")
_FLAG_VALUES = {
    Flag.THICK_SLICES: "Q-THICK",
    Flag.LOSSY: "Q-LOSSY",
    Flag.AGE_UNKNOWN: "Q-AGE",
    Flag.LUNG_AT_EDGE: "Q-EDGE",
    Flag.LUNG_DROPPED: "Q-LUNG-DROPPED",
    Flag.LOBES_APPROXIMATE: "Q-LOBES-APPROX",
    Flag.LOBE_MISSING: "Q-LOBE-MISSING",
    Flag.UNMEASURED_MODEL: "Q-UNMEASURED",
    Flag.NO_CLASSIFIER: "Q-NO-CLASSIFIER",
    Flag.PADDING_MASKED: "Q-PADDING",
    Flag.TRACE_OPACITY: "Q-TRACE-OPACITY",
    Flag.NO_NOISE_FLOOR: "Q-NO-FLOOR",
    Flag.LOW_AGREEMENT: "Q-AGREEMENT",
}
FLAGS = {flag: private(value, flag.sentence.removesuffix(".")) for flag, value in _FLAG_VALUES.items()}

NOT_ANALYSED = private("NOT-ANALYSED", "Chest CT not analysed")
NOT_ANALYSED_REASON = private("NOT-ANALYSED-WHY", "Reason why not analysed")
REASON_CODE = private("REASON-CODE", "Code of the reason")
SERIES_DESCRIPTION = private("SERIES-DESC", "Series description")
IMAGES = private("IMAGES", "Number of images received")
SERIES: Code = codes.DCM.Series
SERIES_UID: Code = codes.DCM.SeriesInstanceUID
SERIES_NUMBER: Code = codes.DCM.SeriesNumber
MODALITY: Code = codes.DCM.Modality
SUMMARY: Code = codes.DCM.Summary
RECOMMENDATION: Code = codes.DCM.Recommendation
FINDINGS_HEADING: Code = codes.DCM.Findings
FINDING: Code = codes.DCM.Finding
ALGORITHM: Code = codes.DCM.AlgorithmName

EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
MEMBERS: Code = codes.DCM.CurrentProcedureEvidence
PRODUCTS = {
    "lobes": private("OBJ-LOBES", "Segmentation of lung lobes"),
    "findings": private("OBJ-FINDINGS", "Segmentation of lung opacities"),
    "measurements": private("OBJ-MEASURES", "Measurements of segments"),
    "text": private("OBJ-TEXT", "Report as text"),
    "report-dicom": private("OBJ-PDF", "Report as PDF"),
    "capture": private("OBJ-PICTURE", "Report as a picture"),
}
"""How the study SR names the result's other objects, by kind."""

PROCEDURE: Code = codes.LN.CTUnspecifiedBodyRegion
REPORT_TITLE: Code = codes.DCM.ImagingMeasurementReport
PDF_TITLE: Code = codes.LN.CTChestReport
ENGLISH = Code("en", "RFC5646", "English")
ARTIFICIAL_INTELLIGENCE: Code = codes.DCM.ArtificialIntelligence
PROCESSING: Code = codes.DCM.ProcessingEquipment
DEVICE: Code = codes.DCM.Device


def class_probability(class_name: str) -> Code:
    """Name of the probability of one class of a classifier; neutral, so that a low value never reads as a finding."""
    slug = "".join(letter for letter in class_name.upper() if letter.isalnum())
    return private(f"P-{slug}"[:16], f"Probability: {class_name}"[:64])
