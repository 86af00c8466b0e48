"""Whatever a sender does to an attribute, the CT gives legal evidence or is refused by name before any inference."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cache
from io import BytesIO

import pytest
from helpers import evidence_samples
from helpers.odd_attributes import KEYWORDS, MACRO_KEYWORDS, SPOILT, spoilt, spoilt_macro, tiny, tiny_enhanced, unclean
from pydicom import Dataset, dcmread

from service.domain.analysis import Analysis
from service.domain.ct import CT
from service.domain.eligibility import Limits
from service.domain.scanner import scanner
from service.errors import Refusal, Rejected
from service.evidence.case import Case
from service.evidence.context import segmentation_products
from service.evidence.refused import RefusedStudy
from service.evidence.report import words
from service.evidence.report.header import draw_fields
from service.evidence.report.page import Page
from service.evidence.seal import to_bytes
from service.evidence.seg import segmentation
from service.evidence.source import source_headers
from service.imaging.attributes import MALFORMED, known_text
from service.imaging.choose import series_option
from service.imaging.gate import check_headers
from service.imaging.read import read_ct

pytestmark = pytest.mark.slow

LIMITS = Limits(min_slices=1, min_extent_mm=0.0)
ABSENT = None
WAYS = [ABSENT, *SPOILT]
ROUTED = ("StationName", "StudyDescription", "SeriesDescription", "BodyPartExamined", "ManufacturerModelName")


def read(datasets: Sequence[Dataset]) -> CT | tuple[Refusal, ...]:
    """The CT, or why it is refused; no other exception."""
    found = check_headers(datasets, LIMITS)
    series_option(datasets, found)
    scanner(*(known_text(datasets[0], keyword) for keyword in ROUTED[:2]))
    if found.refusals:
        return found.refusals
    try:
        return read_ct(datasets)
    except Rejected as rejected:
        return rejected.refusals


def spoilt_ct(keywords: Sequence[str], way: str | None) -> list[Dataset]:
    """Datasets as they come from a file; none where it cannot be parsed at all, which the scan of a folder names."""
    try:
        return spoilt(tiny(), keywords, way)
    except MALFORMED:
        return []


def analysed(ct: CT) -> Iterator[Dataset]:
    for one in evidence_samples.encoded(ct, found_in(ct), evidence_samples.context(ct)):
        if one.sop_class_uid:
            yield dcmread(BytesIO(one.content))


def found_in(ct: CT) -> Analysis:
    """As much lung as there is air."""
    lobes = (ct.volume.array < -700).astype("uint8")
    return evidence_samples.analysis_of(ct, lobes, 0 * lobes)


@cache
def accepted(way: str | None) -> tuple[str, ...]:
    """Attributes that a CT is analysed with although they are spoilt this way; every other one is refused by name."""
    return tuple(keyword for keyword in KEYWORDS if _gives_a_ct(keyword, way))


def _gives_a_ct(keyword: str, way: str | None) -> bool:
    datasets = spoilt_ct([keyword], way)
    result = read(datasets) if datasets else ()
    if not isinstance(result, CT):
        assert all(refusal.detail for refusal in result)
        return False
    first = source_headers(result)[0]
    first.file_meta = datasets[0].file_meta
    assert not unclean(dcmread(BytesIO(to_bytes(first)))), keyword
    return True


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("way", WAYS, ids=str)
class TestClassic:
    def test_what_is_accepted_gives_evidence(self, way: str | None) -> None:
        ct = read(spoilt_ct(accepted(way), way))
        assert isinstance(ct, CT)
        for dataset in analysed(ct):
            assert not unclean(dataset)

    def test_what_is_refused_gives_a_notice(self, way: str | None) -> None:
        """None where nothing says whose study it is: nothing is filed by guess."""
        for keyword in sorted(set(KEYWORDS) - set(accepted(way))):
            header = next(iter(spoilt_ct([keyword], way)), Dataset())
            refusals = {known_text(header, "SeriesInstanceUID"): check_headers([header], LIMITS).refusals}
            with suppress(Rejected):
                study = RefusedStudy.of([header], refusals, {}, evidence_samples.CONTEXT)
                assert not any(map(unclean, study.sources)), keyword
                page = Page("", study)
                draw_fields(page, study, "notice", (("Study date", words.day(study.header.StudyDate)),) * 4, 0.0)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("way", WAYS, ids=str)
def test_each_attribute_of_a_multi_frame_ct_gives_evidence_or_a_reason(way: str | None) -> None:
    for keyword in MACRO_KEYWORDS:
        try:
            datasets = spoilt_macro(tiny_enhanced(), keyword, way)
        except MALFORMED:
            continue
        if isinstance(ct := read(datasets), CT):
            case = Case.of(ct, found_in(ct), evidence_samples.context(ct))
            lobes = case.analysis.label_map("lobes")
            (product,) = segmentation_products([lobes.kind])
            assert segmentation(product, case, lobes) is not None, keyword
