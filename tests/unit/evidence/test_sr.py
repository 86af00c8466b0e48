"""Structured reports: every number in its group, with its unit, pointing at its segment."""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO

import pytest
from helpers import evidence_samples, make_ct
from helpers.evidence_samples import encoded
from pydicom import Dataset, dcmread

from service.domain import codes, rounding
from service.domain.analysis import Analysis
from service.domain.anatomy import Lobe
from service.domain.ct import CT
from service.domain.flags import LOSSY, LUNG_AT_EDGE
from service.errors import Reason
from service.evidence.case import Case
from service.evidence.context import ALWAYS, Evidence, PassedOver, Predecessor, Selection
from service.evidence.sr_study import study_sr
from service.pipelines.covid_severity.flags import LOBE_MISSING
from service.pipelines.covid_severity.result import Measured
from service.pipelines.covid_severity.score import severity
from service.pipelines.shared.measure import Region
from service.pipelines.shared.opacities import Opacity

pytestmark = pytest.mark.slow

ALL = ALWAYS | {"text"}
LIMITS = [("USE-LIM", "RUO"), ("USE-LIM", "NOT-APART")]


def measured_in(sample: tuple[CT, Analysis]) -> Measured:
    return evidence_samples.measured_of(sample[0], *evidence_samples.masks(sample[1]))


def documents(ct: CT, analysis: Analysis) -> dict[str, Dataset]:
    return {
        e.kind: dcmread(BytesIO(e.content))
        for e in encoded(ct, analysis, evidence_samples.context(ct))
        if e.file_name.endswith(".dcm")
    }


@pytest.fixture(scope="module")
def sample() -> tuple[CT, Analysis]:
    return evidence_samples.phantom(findings=make_ct.FINDINGS)


@pytest.fixture(scope="module")
def result(sample: tuple[CT, Analysis]) -> dict[str, Dataset]:
    return documents(*sample)


def items(dataset: Dataset) -> Iterator[Dataset]:
    for item in dataset.get("ContentSequence", []):
        yield item
        yield from items(item)


def concept(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue) if "ConceptNameCodeSequence" in item else ""


def groups(document: Dataset) -> dict[str, Dataset]:
    """Measurement groups by tracking identifier."""
    containers = [i for i in items(document) if concept(i) == "125007"]
    return {str(next(i for i in items(g) if concept(i) == "112039").TextValue): g for g in containers}


def numbers(group: Dataset) -> dict[str, tuple[float, str]]:
    """Value and unit by concept code."""
    found = {}
    for item in group.ContentSequence:
        if item.ValueType == "NUM":
            (value,) = item.MeasuredValueSequence
            found[concept(item)] = (float(value.NumericValue), value.MeasurementUnitsCodeSequence[0].CodeValue)
    return found


def evaluations(group: Dataset) -> list[tuple[str, str]]:
    return [
        (concept(i), i.ConceptCodeSequence[0].CodeValue)
        for i in group.ContentSequence
        if i.ValueType == "CODE" and i.ConceptNameCodeSequence[0].CodingSchemeDesignator == "99THORACLE"
    ]


def test_documents_are_unverified_and_private_codes_are_identified(result: dict[str, Dataset]) -> None:
    for kind in ("measurements", "study"):
        document = result[kind]
        assert (document.VerificationFlag, document.PreliminaryFlag) == ("UNVERIFIED", "PRELIMINARY")
        assert document.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == "99THORACLE"
        assert len([i for i in items(document) if i.ValueType == "IMAGE" and concept(i) == "260753009"]) <= 1


@pytest.mark.conformance("air/predecessors")
def test_documents_follow_the_documents_of_an_earlier_result(
    sample: tuple[CT, Analysis], result: dict[str, Dataset]
) -> None:
    ct, analysis = sample
    report, seg = "1.2.840.10008.5.1.4.1.1.88.34", "1.2.840.10008.5.1.4.1.1.66.4"
    study = ct.headers[0].StudyInstanceUID
    earlier = (
        Predecessor(seg, "1.2.1.1", "1.2.1", study),
        Predecessor(report, "1.2.2.1", "1.2.2", study),
        Predecessor(report, "1.2.3.1", "1.2.3", study),
    )
    context = evidence_samples.context(ct, number=2, replaces=evidence_samples.replacing(*earlier))
    replacing = {e.kind: e.content for e in encoded(ct, analysis, context)}
    for kind in ("measurements", "study"):
        assert "PredecessorDocumentsSequence" not in result[kind]
        (item,) = dcmread(BytesIO(replacing[kind])).PredecessorDocumentsSequence
        references = {
            (series.SeriesInstanceUID, sop.ReferencedSOPInstanceUID, sop.ReferencedSOPClassUID)
            for series in item.ReferencedSeriesSequence
            for sop in series.ReferencedSOPSequence
        }
        assert item.StudyInstanceUID == study
        assert references == {("1.2.2", "1.2.2.1", report), ("1.2.3", "1.2.3.1", report)}


@pytest.mark.conformance("air/measurements")
def test_lobe_groups(result: dict[str, Dataset], sample: tuple[CT, Analysis]) -> None:
    found = groups(result["measurements"])
    assert set(found) == {lobe.name for lobe in Lobe} | {finding.name for finding in Opacity}
    measured = measured_in(sample)
    for lobe, region in measured.regions.lobes.items():
        values = numbers(found[lobe.name])
        assert values["118565006"] == (pytest.approx(region.volume_ml, abs=0.05), "mL")
        assert values["OPAC-VOL"] == (pytest.approx(region.opacity_ml, abs=0.05), "mL")
        assert values["PCT-AFF"] == (rounding.percent(region.opacity_percent), "%")
        assert values["112031"] == (pytest.approx(region.mean_hu, abs=0.5), "[hnsf'U]")
        assert values["CTSS-LF"] == (measured.severity.lobe_scores[lobe.name], "{score}")
        assert values["CTSS-L"] == (measured.severity.without_floor.lobe_scores[lobe.name], "{score}")


def test_groups_point_at_their_segments(result: dict[str, Dataset]) -> None:
    for seg_kind, names in (("lobes", Lobe), ("findings", Opacity)):
        segments = {s.TrackingID: s for s in result[seg_kind].SegmentSequence}
        for name in (n.name for n in names):
            group = groups(result["measurements"])[name]
            reference = next(i for i in items(group) if concept(i) == "121191").ReferencedSOPSequence[0]
            assert reference.ReferencedSOPInstanceUID == result[seg_kind].SOPInstanceUID
            assert reference.ReferencedSegmentNumber == segments[name].SegmentNumber
            tracking = next(i for i in items(group) if concept(i) == "112040").UID
            assert tracking == segments[name].TrackingUID


@pytest.mark.conformance("air/qualitative")
def test_study_groups(result: dict[str, Dataset], sample: tuple[CT, Analysis]) -> None:
    found = groups(result["study"])
    measured = measured_in(sample)
    severity = measured.severity
    assert numbers(found["SEVERITY"]) == {
        "CTSS-TF": (severity.total, "{score}"),
        "CTSS-T": (severity.without_floor.total, "{score}"),
        "FLOOR-ML": (5.0, "mL"),
        "FLOOR-PCT": (0.7, "%"),
    }
    assert evaluations(found["SEVERITY"]) == [*LIMITS, ("INVOLV-F", "255604002")]
    assert severity.category == "mild"
    for side in ("left", "right", "total"):
        values = numbers(found[f"LUNG_{side.upper()}"])
        assert values["118565006"][0] == rounding.millilitres(measured.regions.lungs[side].volume_ml)
        assert values["PCT-AFF"][0] == rounding.percent(measured.regions.lungs[side].opacity_percent)
    assert evaluations(found["CLASSIFICATION"]) == [("CLASSIF", "CLASSIF-NONE")]
    assert evaluations(found["QUALITY"]) == [("QUALITY", "Q-LOBES-APPROX"), ("QUALITY", "Q-NO-CLASSIFIER")]


def test_opacity_of_normal_lungs_is_named_so_and_the_published_score_stays(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    lobes = {**dict.fromkeys(("RUL", "RLL", "LUL", "LLL"), Region(800, 0, 0, None)), "RML": Region(284, 2.55, 0, None)}
    scored = severity(lobes, evidence_samples.FLOOR)
    result = documents(ct, evidence_samples.remeasured(ct, analysis, severity=scored))
    found = groups(result["study"])["SEVERITY"]
    assert (numbers(found)["CTSS-TF"][0], numbers(found)["CTSS-T"][0]) == (0, 1)
    assert evaluations(found) == [*LIMITS, ("INVOLV-F", "INVOLV-NORMAL")]
    values = numbers(groups(result["measurements"])["RML"])
    assert (values["CTSS-LF"][0], values["CTSS-L"][0]) == (0, 1)


def test_without_a_measured_floor_there_is_only_the_published_score(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    regions = measured_in(sample).regions.lobes
    scored = severity({lobe.name: region for lobe, region in regions.items()}, None)
    result = documents(ct, evidence_samples.remeasured(ct, analysis, severity=scored))
    found = groups(result["study"])["SEVERITY"]
    assert numbers(found) == {"CTSS-T": (scored.total, "{score}")}
    assert evaluations(found) == [*LIMITS, ("INVOLV", "255604002")]
    assert "CTSS-LF" not in numbers(groups(result["measurements"])["LLL"])


@pytest.mark.conformance("air/tracking")
def test_tracking_identifiers_are_unique(result: dict[str, Dataset]) -> None:
    uids = [i.UID for k in ("measurements", "study") for i in items(result[k]) if concept(i) == "112040"]
    assert len(set(uids)) == len(uids) == 15


def test_an_absent_finding_is_zero_in_the_study() -> None:
    ct, analysis = evidence_samples.phantom()
    result = documents(ct, analysis)
    assert set(groups(result["measurements"])) == {lobe.name for lobe in Lobe}
    assert numbers(groups(result["study"])["TOTAL_HIGH_OPACITY"])["118565006"] == (0.0, "mL")


def test_probabilities_are_one_neutral_group(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    classes = {"COVID-19": 0.78, "Other pulmonary infection": 0.17, "No imaging signs of infection": 0.05}
    classified = replace(evidence_samples.remeasured(ct, analysis, probabilities=classes), flags=())
    found = groups(documents(ct, classified)["study"])
    values = numbers(found["CLASSIFICATION"])
    assert [v for v, _ in values.values()] == list(classes.values()) and len(values) == 3
    assert evaluations(found["CLASSIFICATION"]) == [] and evaluations(found["QUALITY"]) == []


def test_a_decision_and_that_a_model_is_experimental_are_evaluations(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    classes = {"COVID-19": 0.78, "Other pulmonary infection": 0.17, "No imaging signs of infection": 0.05}
    plain = evidence_samples.remeasured(ct, analysis, probabilities=classes)
    assert plain.classification is not None
    decided = replace(plain.classification, decision=codes.private("COVID", "COVID-19"), absent=None, experimental=True)
    found = groups(documents(ct, replace(plain, classification=decided))["study"])["CLASSIFICATION"]
    assert evaluations(found) == [("CLASSIF", "COVID"), ("VALIDATION", "EXPERIMENTAL")]
    (warned,) = decided.warnings
    case = Case.of(ct, replace(plain, classification=decided), evidence_samples.context(ct))
    assert warned in case.warnings, "the page and the text report print these"
    assert warned not in Case.of(ct, plain, evidence_samples.context(ct)).warnings
    assert len(numbers(found)) == 3


def test_how_reliable_it_is_is_measured_in_the_quality_group(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    found = numbers(groups(documents(ct, analysis)["study"])["QUALITY"])
    assert found == {
        "AGREE-TWO": (0.99, "1"),
        "CLEAR-LUNG": (-850.0, "[hnsf'U]"),
        "GRADIENT": (21.0, "[hnsf'U]"),
        "OPAC-DOMES": (40.0, "%"),
    }
    silent = groups(documents(ct, replace(analysis, uncertainty=(), flags=()))["study"])
    assert "QUALITY" not in silent


def test_a_missing_lobe_has_no_score_and_no_total(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    regions = measured_in(sample).regions.lobes
    lobes = {lobe.name: None if lobe == Lobe.RML else region for lobe, region in regions.items()}
    partial = evidence_samples.remeasured(ct, analysis, severity=severity(lobes, evidence_samples.FLOOR))
    result = documents(ct, replace(partial, flags=(LOBE_MISSING, LOBE_MISSING)))
    assert "CTSS-L" not in numbers(groups(result["measurements"])["RML"])
    found = groups(result["study"])
    floor = {"FLOOR-ML": (5.0, "mL"), "FLOOR-PCT": (0.7, "%")}
    assert numbers(found["SEVERITY"]) == floor, "it decided the scores of the other lobes"
    assert evaluations(found["SEVERITY"]) == LIMITS
    assert evaluations(found["QUALITY"]) == [("QUALITY", "Q-LOBE-MISSING")]


def test_the_values_that_raised_a_flag_are_in_both_documents(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    flag = LUNG_AT_EDGE.because("Of the left lung's surface to the back, 3.1% lies at the edge of the images.")
    doubtful = replace(analysis, flags=(flag, LOSSY))
    selection = Selection(kinds=frozenset(("study", "text")))
    made = {e.kind: e.content for e in encoded(ct, doubtful, evidence_samples.context(ct), [selection])}
    quality = groups(dcmread(BytesIO(made["study"])))["QUALITY"]
    assert evaluations(quality) == [("QUALITY", "Q-EDGE"), ("QUALITY", "Q-LOSSY")]
    assert [i.TextValue for i in quality.ContentSequence if i.ValueType == "TEXT" and concept(i) == "QUALITY"] == [
        f"Incomplete lungs: a lung reaches the edge of the images. {flag.detail}"
    ], "a code has no room for them; a flag without values is told by its code alone"
    document = list(items(dcmread(BytesIO(made["text"]))))
    assert [i.TextValue for i in document if concept(i) == "QUALITY"] == [flag.warning, LOSSY.sentence]
    assert " Result doubtful: incomplete lungs. " in next(i.TextValue for i in document if concept(i) == "121111")


def test_the_measurements_say_how_far_they_may_be_used(result: dict[str, Dataset]) -> None:
    (container,) = [i for i in result["measurements"].ContentSequence if concept(i) == "C0034375"]
    assert evaluations(container) == [("USE-LIM", "RUO"), ("QUALITY", "Q-LOBES-APPROX"), ("QUALITY", "Q-NO-CLASSIFIER")]


@pytest.mark.conformance("air/algorithm")
@pytest.mark.parametrize("kind", ["measurements", "study"])
def test_the_algorithms_are_identified_once(result: dict[str, Dataset], kind: str) -> None:
    names = [i for i in items(result[kind]) if concept(i) == "111001"]
    assert [i.TextValue for i in names] == ["lung-opacity-2d + lobe-prior"]
    assert concept(result[kind].ContentSequence[7]) == "111001", "of the whole document"


@pytest.mark.parametrize("kind", ["measurements", "study"])
def test_integers_are_written_as_integers(result: dict[str, Dataset], kind: str) -> None:
    values = [str(i.MeasuredValueSequence[0].NumericValue) for i in items(result[kind]) if i.ValueType == "NUM"]
    assert len(values) > 15 and not [value for value in values if value.endswith(".0")]


def test_roots_of_other_objects_of_the_same_kinds_have_other_uids(sample: tuple[CT, Analysis]) -> None:
    case = Case.of(*sample, evidence_samples.context(sample[0]))
    one = Evidence("lobes", "lobes.seg.dcm", b"", "1.2.840.10008.5.1.4.1.1.66.4", "1.2.3.1", series_uid="1.2.3")
    roots = [study_sr(case, [member]) for member in (one, replace(one, sop_instance_uid="1.2.3.2"), one)]
    assert roots[0].SOPInstanceUID == roots[2].SOPInstanceUID != roots[1].SOPInstanceUID
    assert roots[0].SeriesInstanceUID != roots[1].SeriesInstanceUID


PASSED_OVER = (PassedOver((Reason.TRUNCATED, Reason.TILT), 3), PassedOver((Reason.FAILED,), None))
SENTENCES = [
    "A better series was not analysed: TRUNCATED, TILT, series 3.",
    "A better series was not analysed: FAILED, series without number.",
]


def test_better_series_that_were_refused_are_in_the_study_sr_and_in_the_text(sample: tuple[CT, Analysis]) -> None:
    ct, analysis = sample
    context = evidence_samples.context(ct, passed_over=PASSED_OVER)
    silent, told = (
        {e.kind: e for e in encoded(ct, replace(analysis, flags=(), uncertainty=()), c, [Selection(kinds=ALL)])}
        for c in (evidence_samples.context(ct), context)
    )
    assert "QUALITY" not in groups(dcmread(BytesIO(silent["study"].content)))
    quality = groups(dcmread(BytesIO(told["study"].content)))["QUALITY"]
    assert [str(i.TextValue) for i in quality.ContentSequence if concept(i) == "QUALITY"] == SENTENCES
    text = [i for i in items(dcmread(BytesIO(told["text"].content))) if concept(i) == "QUALITY"]
    assert [str(i.TextValue) for i in text] == SENTENCES
    for kind, item in told.items():
        assert item.sop_instance_uid is None or item.sop_instance_uid != silent[kind].sop_instance_uid
