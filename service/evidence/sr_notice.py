"""The notice as a Basic Text SR (PS3.3 A.35.1): sentences in a plain tree, which every viewer of reports shows.

No measurement group of TID 1500: viewers that look for measurements would find an empty result, not a reason.
"""

from collections.abc import Iterator

from highdicom import sr
from pydicom.sr.coding import Code
from pydicom.uid import BasicTextSRStorage

from service.domain import codes
from service.errors import Refusal
from service.evidence import equipment
from service.evidence.context import NOTICE
from service.evidence.refused import RefusedSeries, RefusedStudy
from service.evidence.report import words
from service.evidence.sr import english, observer, predecessors, private_scheme

_CONTAINS = sr.RelationshipTypeValues.CONTAINS


class BasicTextSR(sr.EnhancedSR):
    """highdicom has no class for this IOD; its modules are those of Enhanced SR, its value types fewer."""

    def __init__(self, study: RefusedStudy, content: sr.ContainerContentItem) -> None:
        super().__init__(
            evidence=study.sources,
            content=content,
            series_instance_uid=study.uids(NOTICE.kind, "series"),
            series_number=NOTICE.series_number,
            sop_instance_uid=study.uids(NOTICE.kind, "instance"),
            instance_number=1,
            is_complete=True,
            is_final=False,
            is_verified=False,
            previous_versions=predecessors(study.context) or None,
            series_description=NOTICE.description,
            **equipment.equipment(study.context),
        )
        self.SOPClassUID = self.file_meta.MediaStorageSOPClassUID = BasicTextSRStorage
        self.CodingSchemeIdentificationSequence = [private_scheme()]


def notice_sr(study: RefusedStudy) -> BasicTextSR:
    """Every series with every reason, in words and by its code."""
    root = sr.ContainerContentItem(codes.NOT_ANALYSED, is_content_continuous=False)
    root.ContentSequence = sr.ContentSequence(
        [
            *english(),
            *observer(study.context),
            sr.CodeContentItem(codes.USE_LIMITATION, codes.RESEARCH_USE, _CONTAINS),
            _text(codes.SUMMARY, " ".join(study.summary)),
            *map(_series, study.series),
        ]
    )
    return BasicTextSR(study, root)


def _series(one: RefusedSeries) -> sr.ContainerContentItem:
    container = sr.ContainerContentItem(codes.SERIES, is_content_continuous=False, relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence(
        [
            *_facts(one),
            *map(_reason, one.refusals),
            *(_text(codes.RECOMMENDATION, sentence) for sentence in one.advice),
        ]
    )
    return container


def _facts(one: RefusedSeries) -> Iterator[sr.ContentItem]:
    """What tells the series from the others, as far as recorded."""
    for concept, keyword in (
        (codes.SERIES_NUMBER, "SeriesNumber"),
        (codes.SERIES_DESCRIPTION, "SeriesDescription"),
        (codes.MODALITY, "Modality"),
    ):
        value = words.text(one.header, keyword)
        if value != words.ABSENT:
            yield _text(concept, value)
    if one.images is not None:
        yield _text(codes.IMAGES, str(one.images))
    yield sr.UIDRefContentItem(codes.SERIES_UID, one.uid, _CONTAINS)


def _reason(refusal: Refusal) -> sr.TextContentItem:
    item = _text(codes.NOT_ANALYSED_REASON, f"{refusal.reason.sentence} {refusal.detail}".rstrip())
    item.ContentSequence = sr.ContentSequence(
        [sr.TextContentItem(codes.REASON_CODE, refusal.reason.value, sr.RelationshipTypeValues.HAS_PROPERTIES)]
    )
    return item


def _text(concept: Code, value: str) -> sr.TextContentItem:
    return sr.TextContentItem(concept, value, _CONTAINS)
