"""The input of the notice's encoders: the refused series of one study, and its patient."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from pydicom import Dataset

from service.errors import Reason, Refusal, Rejected
from service.evidence.context import EvidenceContext
from service.evidence.notice_words import OTHER_KIND, SEND, advice, no_ct, not_analysed
from service.evidence.replaced import replaces
from service.evidence.seed import notice_records
from service.evidence.source import clean_header
from service.evidence.times import acquisition_time
from service.evidence.uids import Uids, uids_of
from service.imaging.attributes import CT_CLASSES

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")


@dataclass(frozen=True, slots=True, eq=False)
class RefusedSeries:
    """header: of one of its images, cleaned; empty where none could be parsed. images: None if nobody counted."""

    uid: str
    header: Dataset
    refusals: tuple[Refusal, ...]
    images: int | None

    @property
    def advice(self) -> tuple[str, ...]:
        return advice(self.refusals)

    @property
    def is_no_ct(self) -> bool:
        return any(refusal.reason is Reason.NOT_CT for refusal in self.refusals)

    @property
    def of_other_kind(self) -> bool:
        return any(refusal.reason in OTHER_KIND for refusal in self.refusals)


@dataclass(frozen=True, slots=True, eq=False)
class RefusedStudy:
    """One study of which nothing was analysed. sources: headers that can be referred to, the identifying one first."""

    series: tuple[RefusedSeries, ...]
    sources: tuple[Dataset, ...]
    context: EvidenceContext
    uids: Uids

    @classmethod
    def of(
        cls,
        headers: Sequence[Dataset],
        refusals: Mapping[str, Sequence[Refusal]],
        images: Mapping[str, int],
        context: EvidenceContext,
    ) -> Self:
        """Series in the order of `refusals`, scouts and the like last. Rejected where the patient is not certain."""
        mixed = [one for reasons in refusals.values() for one in reasons if one.reason is Reason.MIXED_PATIENTS]
        if mixed:
            raise Rejected(*mixed)
        by_uid = {str(header.get("SeriesInstanceUID", "")): header for header in map(_cleaned, reversed(headers))}
        series = [
            RefusedSeries(uid, by_uid.get(uid, Dataset()), tuple(reasons), images.get(uid))
            for uid, reasons in refusals.items()
        ]
        series.sort(key=lambda one: one.of_other_kind)
        sources = _sources([one.header for one in series], all(one.is_no_ct for one in series))
        return cls(
            tuple(series),
            sources,
            context,
            uids_of(notice_records(_told(series), [one.header for one in series], context)),
        )

    @property
    def header(self) -> Dataset:
        """The header that patient and study attributes are copied from."""
        return self.sources[0]

    @property
    def acquired(self) -> datetime | None:
        """When the newest of the CTs was acquired; None if they do not say."""
        return acquisition_time(self.sources)

    @property
    def summary(self) -> tuple[str, ...]:
        """The notice in a few sentences, the most important one first."""
        too_young = any(r.reason is Reason.AGE for one in self.series for r in one.refusals)
        earlier = replaces("notice", self)
        if all(one.is_no_ct for one in self.series):
            return (*no_ct(self.context.pipeline.name), *earlier)
        return (*not_analysed(self.context.pipeline.name), *earlier, *(() if too_young else (SEND,)))


def _cleaned(header: Dataset) -> Dataset:
    """Without the groups of a multi-frame image, of which a notice tells nothing and which may be damaged."""
    clean = clean_header(header)
    for keyword in _GROUPS:
        if keyword in clean:
            del clean[keyword]
    return clean


def _sources(headers: Sequence[Dataset], without_ct: bool) -> tuple[Dataset, ...]:
    """Returns the headers with all UIDs, first that of a CT that tells the patient: copied whole, never combined.

    without_ct: the study holds no CT, so that an image of another kind tells it.
    """
    complete = [header for header in headers if all(_is_text(header.get(keyword)) for keyword in _UIDS)]
    of_ct = [header for header in complete if without_ct or header.SOPClassUID in CT_CLASSES]
    if not of_ct:
        raise Rejected(Refusal(Reason.UNREADABLE, "No CT image tells its study, series, instance and SOP class."))
    for what, values in (
        ("studies", {header.StudyInstanceUID for header in complete}),
        ("patients", _patients(complete)),
    ):
        if len(values) > 1:
            raise Rejected(Refusal(Reason.UNREADABLE, f"The images are of {len(values)} different {what}."))
    identifying = next((header for header in of_ct if header.PatientID), of_ct[0])
    return (identifying, *(header for header in complete if header is not identifying))


def _is_text(value: object) -> bool:
    """One value; several of a damaged UID make a list."""
    return isinstance(value, str) and bool(value)


def _patients(headers: Sequence[Dataset]) -> set[str]:
    """Patient IDs; names where there is no ID."""
    ids = {str(header.PatientID).strip() for header in headers} - {""}
    return ids or {str(header.PatientName).strip().upper() for header in headers}


def _told(series: Sequence[RefusedSeries]) -> list[object]:
    """What the notice says of each series, ready for JSON."""
    return [[str(one.uid), one.images, [[r.reason.value, r.detail] for r in one.refusals]] for one in series]
