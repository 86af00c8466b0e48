"""The notice as a Basic Text SR.

No measurement group of TID 1500: viewers that look for measurements would find an empty result, not a reason.
"""

from collections.abc import Iterator

from highdicom import sr

from service.domain import codes
from service.errors import Refusal
from service.evidence.context import NOTICE
from service.evidence.refused import RefusedSeries, RefusedStudy
from service.evidence.report import words
from service.evidence.sr_basic_text import CONTAINS, BasicTextSR, section, text


def notice_sr(study: RefusedStudy) -> BasicTextSR:
    """Every series with every reason, in words and by its code."""
    summary = text(codes.SUMMARY, " ".join(study.summary))
    return BasicTextSR(study, NOTICE, codes.NOT_ANALYSED, [summary, *map(_series, study.series)])


def _series(one: RefusedSeries) -> sr.ContainerContentItem:
    advice = [text(codes.RECOMMENDATION, sentence) for sentence in one.advice]
    return section(codes.SERIES, [*_facts(one), *map(_reason, one.refusals), *advice])


def _facts(one: RefusedSeries) -> Iterator[sr.ContentItem]:
    """What tells the series from the others, as far as recorded."""
    for concept, keyword in (
        (codes.SERIES_NUMBER, "SeriesNumber"),
        (codes.SERIES_DESCRIPTION, "SeriesDescription"),
        (codes.MODALITY, "Modality"),
    ):
        value = words.text(one.header, keyword)
        if value != words.ABSENT:
            yield text(concept, value)
    if one.images is not None:
        yield text(codes.IMAGES, str(one.images))
    yield sr.UIDRefContentItem(codes.SERIES_UID, one.uid, CONTAINS)


def _reason(refusal: Refusal) -> sr.TextContentItem:
    item = text(codes.NOT_ANALYSED_REASON, f"{refusal.reason.sentence} {refusal.detail}".rstrip())
    item.ContentSequence = sr.ContentSequence(
        [sr.TextContentItem(codes.REASON_CODE, refusal.reason.value, sr.RelationshipTypeValues.HAS_PROPERTIES)]
    )
    return item
