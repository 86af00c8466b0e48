"""The SR of the whole study: severity, lungs, findings, quality and classification as TID 1501 groups."""

from collections.abc import Iterator, Sequence

from highdicom import sr
from pydicom import Dataset
from pydicom.sr.coding import Code

from service.domain import codes
from service.domain.findings import FindingRegion, Region
from service.domain.severity import Severity
from service.evidence.case import Case
from service.evidence.context import CAPTURE, FINDINGS, LOBES, STUDY, Evidence
from service.evidence.sr import document, number, tracking
from service.evidence.sr_basic_text import text

Group = sr.MeasurementsAndQualitativeEvaluations

_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_IMAGES = (LOBES.kind, FINDINGS.kind, CAPTURE.kind)
_LUNGS = {"right": codes.RIGHT, "left": codes.LEFT, "total": None}


def study_sr(case: Case, members: Sequence[Evidence] = ()) -> sr.Comprehensive3DSR:
    """Study-level results, with the use limitation as the first group's evaluation; the root of the result.

    members: the result's other objects, to which it refers.
    """
    groups = [_severity(case), *_lungs(case), *_findings(case), _classification(case)]
    if case.warnings or case.analysis.agreement is not None:
        groups.append(_quality(case))
    references = [_reference(case, member) for member in members]
    variant = [str(member.sop_instance_uid) for member in members]
    return document(STUDY, case, groups, references, [_members(members)] if members else [], variant)


def _members(members: Sequence[Evidence]) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(codes.MEMBERS, relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence([_member(member) for member in members])
    return container


def _member(member: Evidence) -> sr.ContentItem:
    """An IMAGE item for what is one, Segmentations too, else a COMPOSITE item (PS3.3 C.17.3.2.1)."""
    kind = sr.ImageContentItem if member.kind in _IMAGES else sr.CompositeContentItem
    uids = str(member.sop_class_uid), str(member.sop_instance_uid)
    return kind(codes.PRODUCTS[member.kind], *uids, relationship_type=_CONTAINS)


def _reference(case: Case, member: Evidence) -> Dataset:
    reference = Dataset()
    reference.StudyInstanceUID = case.header.StudyInstanceUID
    reference.SeriesInstanceUID = member.series_uid
    reference.SOPClassUID = member.sop_class_uid
    reference.SOPInstanceUID = member.sop_instance_uid
    return reference


def _severity(case: Case) -> Group:
    """Total score with and without the noise floor, and the reported category; none where a lobe is missing."""
    limits = (codes.RESEARCH_USE, codes.NOT_TOLD_APART)
    evaluations = [
        *(sr.QualitativeEvaluation(codes.USE_LIMITATION, limit) for limit in limits),
        *_involvement(case.analysis.severity),
    ]
    measurements = list(_totals(case.analysis.severity))
    return _group(case, "SEVERITY", codes.LUNG, measurements, evaluations)


def _totals(severity: Severity) -> Iterator[sr.Measurement]:
    """The reported score first. The code of the published rule keeps its meaning: it never has a floor."""
    if severity.total is None or severity.without_floor.total is None:
        return
    if severity.floor is not None:
        yield number(codes.TOTAL_SCORE_FLOOR, severity.total, codes.SCORE)
    yield number(codes.TOTAL_SCORE, severity.without_floor.total, codes.SCORE)
    if severity.floor is not None:
        yield number(codes.FLOOR_VOLUME, severity.floor.opacity_ml, codes.MILLILITRE)
        yield number(codes.FLOOR_PERCENT, severity.floor.opacity_percent, codes.PERCENT)


def _involvement(severity: Severity) -> Iterator[sr.QualitativeEvaluation]:
    if severity.category is None:
        return
    concept = codes.INVOLVEMENT if severity.floor is None else codes.INVOLVEMENT_FLOOR
    category = codes.WITHIN_NORMAL_LUNGS if severity.within_normal else codes.CATEGORIES[severity.category]
    yield sr.QualitativeEvaluation(concept, category)


def _lungs(case: Case) -> Iterator[Group]:
    for side, laterality in _LUNGS.items():
        region = case.analysis.lungs[side]
        yield _group(case, f"LUNG_{side.upper()}", codes.LUNG, list(_of_lung(region)), laterality=laterality)


def _of_lung(region: Region) -> Iterator[sr.Measurement]:
    yield number(codes.VOLUME, region.volume_ml, codes.MILLILITRE)
    yield number(codes.OPACITY_VOLUME, region.opacity_ml, codes.MILLILITRE)
    yield number(codes.PERCENT_AFFECTED, region.opacity_percent, codes.PERCENT)


def _findings(case: Case) -> Iterator[Group]:
    """Every kind of finding, also with 0 mL: an absent one has no segment to point at."""
    for finding, region in case.analysis.findings.items():
        concept = codes.FINDINGS[finding].type
        yield _group(case, f"TOTAL_{finding.name}", concept, list(_of_finding(region)))


def _of_finding(region: FindingRegion) -> Iterator[sr.Measurement]:
    yield number(codes.VOLUME, region.volume_ml, codes.MILLILITRE)
    yield number(codes.PERCENT_AFFECTED, region.percent_of_lungs, codes.PERCENT)


def _classification(case: Case) -> Group:
    """One neutral group; a group "Finding = COVID-19" with a low probability would read as a diagnosis."""
    probabilities = case.analysis.probabilities
    if probabilities is None:
        none = sr.QualitativeEvaluation(codes.CLASSIFICATION, codes.NO_CLASSIFIER)
        return _group(case, "CLASSIFICATION", codes.IMAGING_PATTERN, [], [none])
    values = [number(codes.class_probability(name), p, codes.UNITY) for name, p in probabilities.items()]
    return _group(case, "CLASSIFICATION", codes.IMAGING_PATTERN, values)


def _quality(case: Case) -> Group:
    evaluations = [sr.QualitativeEvaluation(codes.QUALITY, codes.FLAGS[flag]) for flag in case.flags]
    agreement = case.analysis.agreement
    measurements = []
    if agreement is not None:
        measurements.append(number(codes.AGREEMENT_LUNGS, agreement.lungs, codes.UNITY))
        measurements.append(number(codes.AGREEMENT_OPACITIES, agreement.opacities, codes.UNITY))
    group = _group(case, "QUALITY", codes.LUNG, measurements, evaluations)
    group[0].ContentSequence.extend(text(codes.QUALITY, line) for line in case.context.passed_over_warnings)
    return group


def _group(
    case: Case,
    name: str,
    finding: Code,
    measurements: Sequence[sr.Measurement],
    evaluations: Sequence[sr.QualitativeEvaluation] = (),
    laterality: Code | None = None,
) -> Group:
    return Group(
        tracking_identifier=tracking(case.uids, name),
        finding_type=finding,
        finding_sites=[sr.FindingSite(codes.LUNG, laterality)],
        measurements=list(measurements),
        qualitative_evaluations=list(evaluations),
    )
