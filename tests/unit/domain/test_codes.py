"""Codes are what the standard says, and private ones fit their value representations."""

from typing import get_args

import pytest
from pydicom.sr.codedict import codes as dictionary
from pydicom.sr.coding import Code

from service.domain import codes
from service.domain.anatomy import Lobe
from service.evidence.context import ALWAYS, SEG
from service.pipelines import PIPELINES
from service.pipelines.covid_burden import codes as covid_burden
from service.pipelines.covid_severity import codes as covid_severity
from service.pipelines.covid_severity.score import Category
from service.pipelines.covid_triage import codes as covid_triage
from service.pipelines.covid_triage import segments as triage_segments
from service.pipelines.lung_density import codes as lung_density
from service.pipelines.lung_density import segments as density_segments
from service.pipelines.nsclc_gtv import codes as nsclc_gtv
from service.pipelines.nsclc_gtv import segments as tumour_segments
from service.pipelines.shared import opacity_segments
from service.pipelines.shared.lobe_segments import SEGMENT_OF
from service.pipelines.shared.opacities import Opacity

MODULES = (codes, covid_burden, covid_severity, covid_triage, lung_density, nsclc_gtv, opacity_segments)
ALL = [value for module in MODULES for value in vars(module).values() if isinstance(value, Code)]
TABLES = (
    codes.PRODUCTS,
    covid_severity.CATEGORIES,
    covid_triage.CLASS_OF,
    lung_density.COMPARABILITY,
    opacity_segments.VOLUME_OF,
)
SEGMENTS = (
    *SEGMENT_OF.values(),
    *opacity_segments.SEGMENT_OF.values(),
    triage_segments.LESION,
    density_segments.LAA,
    density_segments.HAA,
    *map(tumour_segments.segment, range(1, 12)),
)
FLAGS = tuple(dict.fromkeys(flag for pipeline in PIPELINES for flag in pipeline.flags))
STANDARD = {
    "45653009": dictionary.SCT.UpperLobeOfLung,
    "90572001": dictionary.SCT.LowerLobeOfLung,
    "72481006": dictionary.SCT.MiddleLobeOfRightLung,
    "39607008": dictionary.SCT.Lung,
    "7771000": dictionary.SCT.Left,
    "24028007": dictionary.SCT.Right,
    "52988006": dictionary.SCT.Lesion,
    "121191": dictionary.DCM.ReferencedSegment,
    "d": dictionary.UCUM.Day,
    "122075": dictionary.DCM.PriorReportForCurrentPatient,
    "121080": dictionary.DCM.BestIllustrationOfFinding,
    "108369006": dictionary.SCT.Neoplasm,
    "246206008": dictionary.SCT.NumberOfLesions,
    "103339001": dictionary.SCT.LongAxis,
    "103340004": dictionary.SCT.ShortAxis,
    "L0JK": dictionary.IBSI.Maximum3DDiameterOfAMesh,
    "386136009": dictionary.SCT.StandardDeviation,
    "10828004": dictionary.SCT.Positive,
    "260385009": dictionary.SCT.Negative,
    "112120": dictionary.DCM.GroundGlassOpacity,
    "112033": dictionary.DCM.AbnormalOpacity,
    "373099004": dictionary.SCT.Median,
    "118565006": dictionary.SCT.Volume,
    "112031": dictionary.DCM.AttenuationCoefficient,
    "373098007": dictionary.SCT.Mean,
    "25045-6": dictionary.LN.CTUnspecifiedBodyRegion,
    "126000": dictionary.DCM.ImagingMeasurementReport,
    "24627-2": dictionary.LN.CTChestReport,
    "123110": dictionary.DCM.ArtificialIntelligence,
    "109102": dictionary.DCM.ProcessingEquipment,
    "91723000": dictionary.SCT.AnatomicalStructure,
    "49755003": dictionary.SCT.MorphologicallyAbnormalStructure,
    "260413007": dictionary.SCT.None_,
    "255604002": dictionary.SCT.Mild,
    "6736007": dictionary.SCT.Moderate,
    "24484000": dictionary.SCT.Severe,
    "121007": dictionary.DCM.Device,
    "113015": dictionary.DCM.Series,
    "112002": dictionary.DCM.SeriesInstanceUID,
    "113607": dictionary.DCM.SeriesNumber,
    "121139": dictionary.DCM.Modality,
    "121070": dictionary.DCM.Findings,
    "121071": dictionary.DCM.Finding,
    "111001": dictionary.DCM.AlgorithmName,
    "C0034375": Code("C0034375", "UMLS", "Qualitative Evaluations"),  # TID 1500; not in the dictionary
    "122073": dictionary.DCM.CurrentProcedureEvidence,
    "121111": dictionary.DCM.Summary,
    "121075": dictionary.DCM.Recommendation,
    "%": dictionary.UCUM.Percent,
    "[hnsf'U]": dictionary.UCUM.HounsfieldUnit,
    "mm": dictionary.UCUM.Millimeter,
    "1": dictionary.UCUM.NoUnits,
}
OWN_SCHEME_OR_UNIT = {codes.PRIVATE, "RFC5646"}
UNITS_OUTSIDE_THE_DICTIONARY = {"mL", "g/L", "{score}"}


def used() -> list[Code]:
    of_segments = [code for s in SEGMENTS for code in (s.category, s.type, s.laterality, s.region) if code is not None]
    kinds = [kind.concept for pipeline in PIPELINES for kind in pipeline.label_maps]
    return [*ALL, *of_segments, *kinds, *(c for table in TABLES for c in table.values()), *(f.concept for f in FLAGS)]


def test_standard_codes_agree_with_the_dictionary() -> None:
    for code in used():
        if code.scheme_designator not in OWN_SCHEME_OR_UNIT and code.value not in UNITS_OUTSIDE_THE_DICTIONARY:
            assert code == STANDARD[code.value], code


def test_values_and_meanings_fit_their_representations() -> None:
    for code in used():
        assert 0 < len(code.value) <= 16 and 0 < len(code.meaning) <= 64, code


def test_private_codes_are_unique() -> None:
    """Codes are equal whatever their meanings are: they are compared as texts."""
    own = {(c.value, c.meaning) for c in used() if c.scheme_designator == codes.PRIVATE}
    assert len({value for value, _ in own}) == len(own) > 30


def test_nothing_is_left_without_a_code() -> None:
    assert set(SEGMENT_OF) == set(Lobe) and set(opacity_segments.SEGMENT_OF) == set(Opacity)
    assert set(covid_severity.CATEGORIES) == set(get_args(Category)) and set(opacity_segments.VOLUME_OF) == set(Opacity)
    assert set(codes.PRODUCTS) == (ALWAYS | {"text", "capture", "structure-set", "heat-map"}) - {SEG, "study"}


def test_an_sr_warns_in_the_words_of_the_flag() -> None:
    assert all(f"{flag.concept.meaning}." == flag.sentence for flag in FLAGS)


def test_percent_affected_is_not_diffusion_anisotropy() -> None:
    assert opacity_segments.PERCENT_AFFECTED.scheme_designator == codes.PRIVATE


def test_colours_are_distinct() -> None:
    colours = [segment.rgb for segment in SEGMENTS]
    assert len(set(colours)) == len(colours)


@pytest.mark.parametrize("name", ["COVID-19", "Other pulmonary infection", "No imaging signs of infection", "x" * 99])
def test_class_probabilities_get_distinct_private_codes(name: str) -> None:
    code = codes.class_probability(name)
    assert code.scheme_designator == codes.PRIVATE and len(code.value) <= 16 and len(code.meaning) <= 64


def test_private_refuses_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="too long"):
        codes.private("A" * 17, "meaning")
