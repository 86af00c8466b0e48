"""Coded concepts of this pipeline."""

from pydicom.sr.codedict import codes as dicom
from pydicom.sr.coding import Code

from service.domain.codes import private
from service.pipelines.covid_severity.score import WITHIN_NORMAL, Category

LOBE_SCORE = private("CTSS-L", "CT severity score, Pan 2020, lobe (0-5)")
TOTAL_SCORE = private("CTSS-T", "CT severity score, Pan 2020, total (0-25)")
LOBE_SCORE_FLOOR = private("CTSS-LF", "CT severity score, Pan 2020, with noise floor, lobe (0-5)")
TOTAL_SCORE_FLOOR = private("CTSS-TF", "CT severity score, Pan 2020, with noise floor, total (0-25)")
FLOOR_VOLUME = private("FLOOR-ML", "Noise floor: opacity volume in one lobe of normal lungs")
FLOOR_PERCENT = private("FLOOR-PCT", "Noise floor: opacity of one lobe of normal lungs, percent")
INVOLVEMENT = private("INVOLV", "Involvement by CT severity score, Pan 2020")
INVOLVEMENT_FLOOR = private("INVOLV-F", "Involvement by CT severity score, Pan 2020, with noise floor")
WITHIN_NORMAL_LUNGS = private("INVOLV-NORMAL", f"None: {WITHIN_NORMAL}")
IMAGING_PATTERN = private("INFPAT", "Lung infection imaging pattern")

CATEGORIES: dict[Category, Code] = {
    "none": dicom.SCT.None_,
    "mild": dicom.SCT.Mild,
    "moderate": dicom.SCT.Moderate,
    "severe": dicom.SCT.Severe,
}
