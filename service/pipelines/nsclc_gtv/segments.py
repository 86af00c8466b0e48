"""The label map of suspected tumours: the largest, up to nine candidates, and all others in one segment."""

from collections.abc import Sequence

from service.domain import codes
from service.domain.analysis import LabelArray, LabelMap, LabelMapKind, RoiType, Segment
from service.pipelines.nsclc_gtv.codes import TUMOUR

KIND = LabelMapKind("tumour", "AI lung tumour", codes.private("OBJ-TUMOUR", "Segmentation of suspected lung tumours"))

MOST_CANDIDATES = 9
"""Candidates that are told one by one, the largest first."""

REST_LABEL = MOST_CANDIDATES + 2

GTV = Segment(1, "GTV_1", "GTV-1", codes.MORPHOLOGY, TUMOUR, (255, 0, 255), roi_type=RoiType.GROSS_TUMOUR_VOLUME)
REST = Segment(REST_LABEL, "CANDIDATES_REST", "More candidates", codes.MORPHOLOGY, TUMOUR, (150, 110, 60))

_CANDIDATE_RGB = (
    *((255, 140, 0), (250, 180, 90), (235, 110, 40), (255, 170, 50), (200, 130, 60)),
    *((240, 150, 110), (215, 100, 10), (180, 90, 20), (190, 110, 90)),
)


def segment(number: int) -> Segment:
    """The segment of a finding. number: from 1, the largest first; after the last candidate that is told, `REST`."""
    if number == 1:
        return GTV
    if number > MOST_CANDIDATES + 1:
        return REST
    candidate = number - 1
    name, title = f"CANDIDATE_{candidate}", f"Candidate {candidate}"
    return Segment(number, name, title, codes.MORPHOLOGY, TUMOUR, _CANDIDATE_RGB[candidate - 1])


def label_map(labels: LabelArray, segments: Sequence[Segment]) -> LabelMap:
    """labels: of the segments, axes (slice, row, column)."""
    return LabelMap(KIND, labels, tuple(segments))
