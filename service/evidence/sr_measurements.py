"""The SR of regions: one TID 1411 group per segment, so that each number points at the voxels it was taken from."""

from collections.abc import Iterator

import highdicom as hd
from highdicom import sr

from service.domain import codes
from service.domain.findings import Analysis, Finding, FindingRegion, Lobe
from service.evidence.case import Case
from service.evidence.context import MEASUREMENTS
from service.evidence.seg import segment_numbers
from service.evidence.sr import document, number, tracking

_CONTAINS = sr.RelationshipTypeValues.CONTAINS

Group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations


def measurements_sr(
    case: Case, lobes: hd.seg.Segmentation | None, findings: hd.seg.Segmentation | None
) -> sr.Comprehensive3DSR:
    """Measurements of every segment, of which there is one at least. Empty regions are in the study SR as 0 mL."""
    groups: list[Group] = []
    if lobes is not None:
        groups += _lobe_groups(case, lobes)
    if findings is not None:
        groups += _finding_groups(case, findings)
    segmentations = [s for s in (lobes, findings) if s is not None]
    return document(MEASUREMENTS, case, groups, segmentations, [_evaluations(case)])


def _evaluations(case: Case) -> sr.ContainerContentItem:
    """Use limitation and quality warnings of the whole document (TID 1500, Qualitative Evaluations)."""
    container = sr.ContainerContentItem(codes.EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence(
        [
            sr.CodeContentItem(codes.USE_LIMITATION, codes.RESEARCH_USE, _CONTAINS),
            *(sr.CodeContentItem(codes.QUALITY, codes.FLAGS[flag], _CONTAINS) for flag in case.flags),
        ]
    )
    return container


def _lobe_groups(case: Case, segmentation: hd.seg.Segmentation) -> Iterator[Group]:
    for name, segment in segment_numbers(segmentation).items():
        coded = codes.LOBES[Lobe[name]]
        yield Group(
            tracking_identifier=tracking(case.uids, name),
            referenced_segment=_segment(case, segmentation, segment),
            finding_category=codes.ANATOMY,
            finding_type=coded.type,
            finding_sites=[sr.FindingSite(coded.type, coded.laterality)],
            measurements=list(_of_lobe(case.analysis, Lobe[name])),
        )


def _finding_groups(case: Case, segmentation: hd.seg.Segmentation) -> Iterator[Group]:
    for name, segment in segment_numbers(segmentation).items():
        yield Group(
            tracking_identifier=tracking(case.uids, name),
            referenced_segment=_segment(case, segmentation, segment),
            finding_category=codes.MORPHOLOGY,
            finding_type=codes.FINDINGS[Finding[name]].type,
            finding_sites=[sr.FindingSite(codes.LUNG)],
            measurements=list(_of_finding(case.analysis.findings[Finding[name]])),
        )


def _segment(case: Case, segmentation: hd.seg.Segmentation, segment: int) -> sr.ReferencedSegment:
    return sr.ReferencedSegment(
        segmentation.SOPClassUID,
        segmentation.SOPInstanceUID,
        segment,
        source_series=sr.SourceSeriesForSegmentation(case.ct.series_uid),
    )


def _of_lobe(analysis: Analysis, lobe: Lobe) -> Iterator[sr.Measurement]:
    region, severity = analysis.lobes[lobe], analysis.severity
    yield number(codes.VOLUME, region.volume_ml, codes.MILLILITRE)
    yield number(codes.OPACITY_VOLUME, region.opacity_ml, codes.MILLILITRE)
    yield number(codes.PERCENT_AFFECTED, region.opacity_percent, codes.PERCENT)
    yield from _mean(region.mean_hu)
    reported, published = (of.lobe_scores[lobe.name] for of in (severity, severity.without_floor))
    if reported is not None and severity.floor is not None:
        yield number(codes.LOBE_SCORE_FLOOR, reported, codes.SCORE)
    if published is not None:
        yield number(codes.LOBE_SCORE, published, codes.SCORE)


def _of_finding(region: FindingRegion) -> Iterator[sr.Measurement]:
    yield number(codes.VOLUME, region.volume_ml, codes.MILLILITRE)
    yield number(codes.PERCENT_AFFECTED, region.percent_of_lungs, codes.PERCENT)
    yield from _mean(region.mean_hu)


def _mean(mean_hu: float | None) -> Iterator[sr.Measurement]:
    if mean_hu is not None:
        yield number(codes.ATTENUATION, mean_hu, codes.HOUNSFIELD, derivation=codes.MEAN)
