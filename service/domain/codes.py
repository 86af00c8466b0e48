"""Coded concepts of our DICOM objects that every pipeline uses: standard codes where they exist, private ones else.

Codes are `pydicom.sr.coding.Code`: value, scheme designator, meaning (64 characters at most, PS3.5 6.2). A pipeline
has its own in its folder.
"""

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

PRIVATE = "99THORACLE"
PRIVATE_NAME = "Thoracle private codes"


def private(value: str, meaning: str) -> Code:
    """A code of our own scheme; ValueError where it breaks SH (16) or LO (64 characters)."""
    if len(value) > 16 or len(meaning) > 64:
        raise ValueError(f"private code {value!r} ({meaning!r}) is too long")
    return Code(value, PRIVATE, meaning)


LEFT: Code = codes.SCT.Left
RIGHT: Code = codes.SCT.Right
LUNG: Code = codes.SCT.Lung
ANATOMY: Code = codes.SCT.AnatomicalStructure
MORPHOLOGY: Code = codes.SCT.MorphologicallyAbnormalStructure

VOLUME: Code = codes.SCT.Volume
ATTENUATION: Code = codes.DCM.AttenuationCoefficient
MEAN: Code = codes.SCT.Mean
MEDIAN: Code = codes.SCT.Median

MILLILITRE = Code("mL", "UCUM", "mL")
GRAM_PER_LITRE = Code("g/L", "UCUM", "g/L")
MILLIMETRE: Code = codes.UCUM.Millimeter
PERCENT: Code = codes.UCUM.Percent
HOUNSFIELD: Code = codes.UCUM.HounsfieldUnit
UNITY: Code = codes.UCUM.NoUnits
SCORE = Code("{score}", "UCUM", "score")

INFLUENCE = private("INFLUENCE", "Influence on the result")

CLASSIFICATION = private("CLASSIF", "Classification")
VALIDATION = private("VALIDATION", "Validation of the model")
EXPERIMENTAL = private("EXPERIMENTAL", "Experimental: not validated on patients of other hospitals")
NO_CLASSIFIER = private("CLASSIF-NONE", "No validated model installed")

USE_LIMITATION = private("USE-LIM", "Use limitation")
RESEARCH_USE = private("RUO", "Research use only. Not for diagnostic use")

QUALITY = private("QUALITY", "Quality warning")

COMPARISON = private("COMPARISON", "Comparison with an earlier CT")
PRIOR_REPORT: Code = codes.DCM.PriorReportForCurrentPatient
EARLIER_RESULT = private("EARLIER-RESULT", "Earlier result")
EARLIER_HEADLINE = private("EARLIER-HEADLN", "Headline of the earlier result")
DAYS_BETWEEN = private("DAYS-BETWEEN", "Days since the earlier CT")
CHANGE = private("CHANGE", "Change since the earlier CT")
CHANGE_PERCENT = private("CHANGE-PERCENT", "Change since the earlier CT in percent of its value")
CHANGE_PER_YEAR = private("CHANGE-PER-YEAR", "Change per year since the earlier CT")
DOUBLING_TIME = private("DOUBLING-TIME", "Volume doubling time since the earlier CT")
LUNG_OVERLAP = private("LUNG-OVERLAP", "Overlap of the registered lungs of both CTs (Dice)")
MATCH = private("MATCH", "Finding in the present and the earlier CT")
MATCH_MATCHED = private("MATCH-MATCHED", "Found in both CTs")
MATCH_NEW = private("MATCH-NEW", "Not found in the earlier CT")
MATCH_GONE = private("MATCH-GONE", "No longer found")
MATCH_BESIDE = private("MATCH-BESIDE", "Beside a finding that was matched: parted or merged")
MATCH_TOGETHER = private("MATCH-TOGETHER", "Among findings that the other result tells together")
MATCH_OUTSIDE = private("MATCH-OUTSIDE", "Outside the lungs that the other CT shows")
MATCH_UNKNOWN = private("MATCH-UNKNOWN", "Position not comparable")
MATCHES = {
    "matched": MATCH_MATCHED,
    "new": MATCH_NEW,
    "gone": MATCH_GONE,
    "beside": MATCH_BESIDE,
    "together": MATCH_TOGETHER,
    "outside": MATCH_OUTSIDE,
    "unknown": MATCH_UNKNOWN,
}
"""What became of a finding, by `comparison.Match`."""

DAY: Code = codes.UCUM.Day

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

REFERENCED_SEGMENT: Code = codes.DCM.ReferencedSegment
KEY_IMAGE: Code = codes.DCM.BestIllustrationOfFinding
EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")
MEMBERS: Code = codes.DCM.CurrentProcedureEvidence
PRODUCTS = {
    "measurements": private("OBJ-MEASURES", "Measurements of segments"),
    "axes": private("OBJ-AXES", "Measurements along lines of segments"),
    "text": private("OBJ-TEXT", "Report as text"),
    "report-dicom": private("OBJ-PDF", "Report as PDF"),
    "capture": private("OBJ-PICTURE", "Report as a picture"),
    "structure-set": private("OBJ-STRUCTURES", "Structure set: outlines of segments for radiotherapy"),
    "heat-map": private("OBJ-HEAT-MAP", "Heat map: what made a model decide"),
}
"""How the study SR names the result's other objects, by kind; a label map has its own concept."""

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


def per_year(unit: Code) -> Code:
    """The UCUM unit of a change per year, of Julian years of 365.25 days."""
    return Code(f"{unit.value}/a", "UCUM", f"{unit.meaning} per year")
