"""The SR of axes: what was measured of segments along lines, as TID 1501 groups that all have coordinates.

TID 1411, the group about a segment, has no place for coordinates. OHIF opens a TID 1500 document as a black field where
any group has none, so these are in a document of their own. A group has the tracking identifier of its segment, refers
to the segment, and to the image of its first line that lies in one slice: it shows the finding best.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import highdicom as hd
from highdicom import sr

from service.domain import codes
from service.domain.analysis import Evaluation
from service.evidence.case import Case
from service.evidence.context import AXES
from service.evidence.seg import segment_numbers
from service.evidence.sr import document
from service.evidence.sr_coordinates import image_of_first
from service.evidence.sr_study import Group, group_of

_CONTAINS = sr.RelationshipTypeValues.CONTAINS
_LIMIT = Evaluation(codes.USE_LIMITATION, codes.RESEARCH_USE)


def axes_sr(case: Case, segmentations: Sequence[hd.seg.Segmentation]) -> sr.Comprehensive3DSR | None:
    """What was measured of segments along lines; None where nothing was."""
    groups = list(_groups(case, dict(_segments(segmentations))))
    return document(AXES, case, groups, segmentations) if groups else None


def _groups(case: Case, segments: dict[str, sr.ImageContentItem]) -> Iterator[Group]:
    for about in case.analysis.groups:
        lines = tuple(measured for measured in about.measurements if measured.along)
        if about.segment is None or not lines:
            continue
        group = group_of(case, replace(about, measurements=lines, evaluations=()), [_LIMIT])
        if about.segment in segments:
            group[0].ContentSequence.append(segments[about.segment])
        if (image := image_of_first(lines, case)) is not None:
            group[0].ContentSequence.append(image)
        yield group


def _segments(segmentations: Sequence[hd.seg.Segmentation]) -> Iterator[tuple[str, sr.ImageContentItem]]:
    """All segments by name (TID 1411, Referenced Segment)."""
    for made in segmentations:
        for name, number in segment_numbers(made).items():
            yield (
                name,
                sr.ImageContentItem(
                    codes.REFERENCED_SEGMENT,
                    made.SOPClassUID,
                    made.SOPInstanceUID,
                    referenced_segment_numbers=[number],
                    relationship_type=_CONTAINS,
                ),
            )
