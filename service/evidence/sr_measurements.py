"""The SR of regions: one TID 1411 group per segment, so that each number points at the voxels it was taken from.

A number that was taken along a line points at the line instead, which TID 1411 has no place for: it is in the SR of
axes (`sr_axes`), under the tracking identifier of the segment.
"""

from collections.abc import Iterator, Sequence

import highdicom as hd
from highdicom import sr

from service.domain import codes
from service.evidence.case import Case
from service.evidence.context import MEASUREMENTS
from service.evidence.seg import segment_numbers
from service.evidence.sr import document, finding_site, number, tracking

_CONTAINS = sr.RelationshipTypeValues.CONTAINS

Group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations


def measurements_sr(case: Case, segmentations: Sequence[hd.seg.Segmentation]) -> sr.Comprehensive3DSR:
    """Measurements of every segment, of which there is one at least. Segments without voxels have no group."""
    groups = [group for segmentation in segmentations for group in _groups(case, segmentation)]
    return document(MEASUREMENTS, case, groups, segmentations, [_evaluations(case)])


def _evaluations(case: Case) -> sr.ContainerContentItem:
    """Use limitation and quality warnings of the whole document (TID 1500, Qualitative Evaluations)."""
    container = sr.ContainerContentItem(codes.EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence(
        [
            sr.CodeContentItem(codes.USE_LIMITATION, codes.RESEARCH_USE, _CONTAINS),
            *(sr.CodeContentItem(codes.QUALITY, flag.concept, _CONTAINS) for flag in case.flags),
        ]
    )
    return container


def _groups(case: Case, segmentation: hd.seg.Segmentation) -> Iterator[Group]:
    about = {group.segment: group for group in case.analysis.groups if group.segment is not None}
    for name, segment in segment_numbers(segmentation).items():
        if (group := about.get(name)) is None:
            continue
        yield Group(
            tracking_identifier=tracking(case.uids, name),
            referenced_segment=_segment(case, segmentation, segment),
            finding_category=group.category,
            finding_type=group.finding,
            finding_sites=[finding_site(group.site)],
            measurements=[number(measured) for measured in group.measurements if not measured.along],
            qualitative_evaluations=[sr.QualitativeEvaluation(e.concept, e.value) for e in group.evaluations],
        )


def _segment(case: Case, segmentation: hd.seg.Segmentation, segment: int) -> sr.ReferencedSegment:
    return sr.ReferencedSegment(
        segmentation.SOPClassUID,
        segmentation.SOPInstanceUID,
        segment,
        source_series=sr.SourceSeriesForSegmentation(case.ct.series_uid),
    )
