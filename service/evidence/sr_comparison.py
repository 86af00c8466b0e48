"""The comparison with an earlier CT in the study SR, as TID 1501 groups, and its reference to the earlier result.

For each group of measurements that is compared there are two more: NAME.EARLIER with the earlier values at their time
point (TID 1502), and NAME.CHANGE with the changes, whose derivation says what they are. The earlier result is named
in a container "Prior report for current patient"; its objects are of another study, so they are listed as Pertinent
Other Evidence (PS3.3 C.17.2.3). They are no predecessors: nothing replaces them.
"""

from collections.abc import Iterator, Sequence
from itertools import groupby

from highdicom import sr
from pydicom import Dataset
from pydicom.sr.coding import Code

from service.domain import codes
from service.domain.analysis import Measurement, MeasurementGroup, Site
from service.domain.comparison import Change, Comparison, FindingChange
from service.domain.comparison_words import change_sentence, finding_words
from service.evidence.case import Case
from service.evidence.context import is_segmentation
from service.evidence.sr import finding_site, number, tracking
from service.evidence.sr_basic_text import text

Group = sr.MeasurementsAndQualitativeEvaluations

_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_LUNG = Site(codes.LUNG)


def comparison_groups(case: Case) -> Iterator[Group]:
    """What is compared, then the values and changes of each group."""
    found = case.analysis.comparison
    if found is None:
        return
    yield _about(case, found)
    for name, changes in groupby(found.numbers, lambda one: one.group):
        yield from _then_and_change(case, found, name, list(changes))
    for finding in found.findings:
        yield from _of_finding(case, found, finding)


def prior_container(case: Case) -> sr.ContainerContentItem | None:
    """Names the objects of the earlier result; None where nothing is compared."""
    found = case.analysis.comparison
    if found is None:
        return None
    container = sr.ContainerContentItem(codes.PRIOR_REPORT, relationship_type=_CONTAINS)
    items: list[sr.ContentItem] = []
    for one in found.objects:
        kind = sr.ImageContentItem if is_segmentation(one.kind) else sr.CompositeContentItem
        items.append(kind(codes.EARLIER_RESULT, one.sop_class_uid, one.sop_instance_uid, relationship_type=_CONTAINS))
    container.ContentSequence = sr.ContentSequence(items)
    return container


def prior_references(case: Case) -> list[Dataset]:
    """The same objects for the list of evidence."""
    found = case.analysis.comparison
    references = []
    for one in () if found is None else found.objects:
        reference = Dataset()
        reference.StudyInstanceUID = found.study_uid if found else ""
        reference.SeriesInstanceUID = one.series_uid
        reference.SOPClassUID = one.sop_class_uid
        reference.SOPInstanceUID = one.sop_instance_uid
        references.append(reference)
    return references


def _about(case: Case, found: Comparison) -> Group:
    """Which CT and result it is, how far back, and what a reader must know; what has no change is told in words."""
    measured = [Measurement("days", codes.DAYS_BETWEEN, float(found.days), codes.DAY)]
    if found.overlap is not None:
        measured.append(Measurement("overlap", codes.LUNG_OVERLAP, found.overlap, codes.UNITY))
    group = Group(
        tracking_identifier=tracking(case.uids, "COMPARISON"),
        finding_type=codes.COMPARISON,
        finding_sites=[finding_site(_LUNG)],
        time_point_context=_time_point(found),
        measurements=[number(one) for one in measured],
    )
    untold = (change_sentence(one) for one in found.changes if one.change is None)
    words = (f"{one.title}: {said}." for one in found.findings if (said := finding_words(one)))
    group[0].ContentSequence.extend(
        [
            text(codes.EARLIER_RESULT, found.result),
            *([text(codes.EARLIER_HEADLINE, found.headline)] if found.headline else []),
            *(text(codes.COMPARISON, line) for line in (*untold, *words, *found.remarks)),
        ]
    )
    return group


def _of_finding(case: Case, found: Comparison, finding: FindingChange) -> Iterator[Group]:
    name = finding.now or f"{finding.then}.THEN"
    judged = [sr.QualitativeEvaluation(codes.MATCH, codes.MATCHES[finding.match])]
    more = []
    if (days := finding.doubling_days) is not None:
        more = [Measurement("doubling", codes.DOUBLING_TIME, float(days), codes.DAY)]
    yield from _then_and_change(case, found, name, finding.numbers, more, judged)


def _then_and_change(
    case: Case,
    found: Comparison,
    name: str,
    changes: Sequence[Change],
    more: Sequence[Measurement] = (),
    judged: Sequence[sr.QualitativeEvaluation] = (),
) -> Iterator[Group]:
    """Two groups, each only where it has something to say. more, judged: of the change."""
    of = next((one for one in case.analysis.groups if one.name == name), None)
    then = [one for change in changes for one in _then(change)]
    now = [*(one for change in changes for one in _changes(change)), *more]
    if then:
        yield _group(case, of, f"{name}.EARLIER", then, _time_point(found))
    if now or judged:
        yield _group(case, of, f"{name}.CHANGE", now, None, judged)


def _group(
    case: Case,
    of: MeasurementGroup | None,
    name: str,
    measured: Sequence[Measurement],
    time_point: sr.TimePointContext | None,
    judged: Sequence[sr.QualitativeEvaluation] = (),
) -> Group:
    """of: the group whose values are compared; None where it is not in the present result."""
    return Group(
        tracking_identifier=tracking(case.uids, name),
        time_point_context=time_point,
        finding_type=codes.COMPARISON if of is None else of.finding,
        finding_sites=[finding_site(_LUNG if of is None else of.site)],
        measurements=[number(one) for one in measured],
        qualitative_evaluations=judged,
    )


def _time_point(found: Comparison) -> sr.TimePointContext:
    return sr.TimePointContext(f"{found.acquired:%Y-%m-%d}", time_point_order=1)


def _then(change: Change) -> Iterator[Measurement]:
    """The earlier value, where the present result tells its concept."""
    if change.then is not None and change.concept is not None:
        yield Measurement(change.measurement, change.concept, change.then, change.unit, change.derivation)


def _changes(change: Change) -> Iterator[Measurement]:
    """Change, percent and per year, each as a value of the measurement's concept with a derivation that says so."""
    told: tuple[tuple[float | None, Code, Code], ...] = (
        (change.change, change.unit, codes.CHANGE),
        (change.percent, codes.PERCENT, codes.CHANGE_PERCENT),
        (change.per_year, codes.per_year(change.unit), codes.CHANGE_PER_YEAR),
    )
    for value, unit, derivation in told:
        if value is not None and change.concept is not None:
            yield Measurement(change.measurement, change.concept, value, unit, derivation)
