"""The SR of the whole study as TID 1501 groups: study-wide numbers, classification, quality.

It is the root of the result.
"""

from collections.abc import Iterator, Sequence

from highdicom import sr
from pydicom import Dataset

from service.domain import codes
from service.domain.analysis import Classification, Evaluation, Measurement, MeasurementGroup, Site
from service.evidence.case import Case
from service.evidence.context import CAPTURE, HEAT_MAP, STUDY, Evidence, is_segmentation
from service.evidence.sr import document, finding_site, number, tracking
from service.evidence.sr_basic_text import text
from service.evidence.sr_comparison import comparison_groups, prior_container, prior_references
from service.evidence.sr_coordinates import coordinates

Group = sr.MeasurementsAndQualitativeEvaluations

_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_LUNG = Site(codes.LUNG)


def study_sr(case: Case, members: Sequence[Evidence] = ()) -> sr.Comprehensive3DSR:
    """Study-level results, with the use limitation as the first group's evaluation; the root of the result.

    members: the result's other objects, to which it refers.
    """
    groups = [*_studywide(case), *_classification(case)]
    if case.flags or case.context.passed_over or case.analysis.uncertainty:
        groups.append(_quality(case))
    groups.extend(comparison_groups(case))
    references = [*(_reference(case, member) for member in members), *prior_references(case)]
    more = [_members(case, members)] if members else []
    if (prior := prior_container(case)) is not None:
        more.append(prior)
    variant = [str(member.sop_instance_uid) for member in members]
    return document(STUDY, case, groups, references, more, variant)


def _members(case: Case, members: Sequence[Evidence]) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(codes.MEMBERS, relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence([_member(case, member) for member in members])
    return container


def _member(case: Case, member: Evidence) -> sr.ContentItem:
    """An IMAGE item for what is one, Segmentations too, else a COMPOSITE item (PS3.3 C.17.3.2.1)."""
    uids = str(member.sop_class_uid), str(member.sop_instance_uid)
    if is_segmentation(member.kind):
        concept = case.analysis.label_map(member.kind).kind.concept
        return sr.ImageContentItem(concept, *uids, relationship_type=_CONTAINS)
    kind = sr.ImageContentItem if member.kind in (CAPTURE.kind, HEAT_MAP.kind) else sr.CompositeContentItem
    return kind(codes.PRODUCTS[member.kind], *uids, relationship_type=_CONTAINS)


def _reference(case: Case, member: Evidence) -> Dataset:
    reference = Dataset()
    reference.StudyInstanceUID = case.header.StudyInstanceUID
    reference.SeriesInstanceUID = member.series_uid
    reference.SOPClassUID = member.sop_class_uid
    reference.SOPInstanceUID = member.sop_instance_uid
    return reference


def _studywide(case: Case) -> Iterator[Group]:
    """Groups about the whole study, also of what is absent: it has no segment to point at. The limits come first."""
    limits = [Evaluation(codes.USE_LIMITATION, limit) for limit in (codes.RESEARCH_USE, *case.analysis.limitations)]
    studywide = [group for group in case.analysis.groups if group.segment is None]
    for group in studywide or [MeasurementGroup("LIMITATIONS", codes.LUNG, _LUNG)]:
        yield group_of(case, group, limits)
        limits = []


def _classification(case: Case) -> Iterator[Group]:
    found: Classification | None = case.analysis.classification
    if found is None:
        return
    values = tuple(Measurement(one.title, one.concept, one.value, codes.UNITY) for one in found.probabilities)
    judged = [Evaluation(found.concept, one) for one in (found.absent, found.decision) if one is not None]
    if found.experimental:
        judged.append(Evaluation(codes.VALIDATION, codes.EXPERIMENTAL))
    yield group_of(case, MeasurementGroup(found.name, found.finding, _LUNG, values, tuple(judged)))


def _quality(case: Case) -> Group:
    """Warnings as codes; the values that raised them, and better series that were refused, as text."""
    warnings = tuple(Evaluation(codes.QUALITY, flag.concept) for flag in case.flags)
    group = group_of(case, MeasurementGroup("QUALITY", codes.LUNG, _LUNG, case.analysis.uncertainty, warnings))
    details = (flag.warning for flag in case.flags if flag.detail)
    lines = (*details, *case.context.passed_over_warnings)
    group[0].ContentSequence.extend(text(codes.QUALITY, line) for line in lines)
    return group


def group_of(case: Case, group: MeasurementGroup, first: Sequence[Evaluation] = ()) -> Group:
    """One group; first: evaluations before its own. What was measured along a line has its coordinates."""
    return Group(
        tracking_identifier=tracking(case.uids, group.name),
        finding_type=group.finding,
        finding_sites=[finding_site(group.site)],
        measurements=[
            number(measured, coordinates(measured.line, case) if measured.along else None)
            for measured in group.measurements
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(one.concept, one.value) for one in (*first, *group.evaluations)
        ],
    )
