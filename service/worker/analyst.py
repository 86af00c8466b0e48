"""The one path of a study, on one screen: choose → read → analyse → encode.

No network, no database, no settings: the command line and the service both walk it. Of a study's series the best one
that passes every gate is analysed; every other one gets its reasons.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from service.domain.ct import CT
from service.domain.eligibility import Eligibility, Limits
from service.domain.findings import Analysis, ModelUse
from service.domain.ports import Backend, Pipeline, Progress
from service.errors import Flag, Reason, Refusal, Rejected
from service.evidence.context import Earlier, Evidence, EvidenceContext, Selection
from service.evidence.encode import encode
from service.evidence.notice import encode_notice
from service.evidence.result import SeriesRefusal, result_document
from service.evidence.times import with_fixed_zone
from service.imaging.choose import Candidate, Ranked, candidate, choose, of_one_patient
from service.imaging.gate import check_headers
from service.imaging.read import read_ct
from service.inference.noting import Noting
from service.store.tree import DAMAGED, SeriesFiles
from service.store.tree import headers as read_headers
from service.worker.stopwatch import Stopwatch

log = logging.getLogger(__name__)

_UNPARSABLE = (*DAMAGED, InvalidDicomError, EOFError, AttributeError)
"""Damaged attributes, no DICOM at all, a file that ends too early, a required attribute that is absent."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a study; `series_uid` and `analysis` are None when every series was refused.

    refusals: of every series that was not analysed, headers: the first of each that could be read; by Series Instance
    UID. document: result.json. asked: models that answered about a series before it was refused.
    """

    series_uid: str | None
    analysis: Analysis | None
    evidence: tuple[Evidence, ...]
    refusals: Mapping[str, tuple[Refusal, ...]]
    timings_s: Mapping[str, float]
    document: Mapping[str, Any]
    headers: Mapping[str, Dataset] = field(default_factory=dict)
    asked: tuple[ModelUse, ...] = ()

    @property
    def models(self) -> tuple[ModelUse, ...]:
        """Those that made the result, or had a part in the refusal of all."""
        return self.asked if self.analysis is None else self.analysis.models


@dataclass(frozen=True, slots=True)
class Run:
    """One analysis of a study, as recorded with its job: the same run gives the same bytes.

    analysed_at: when it first began, aware. number: of its result. replaces: the earlier result.
    """

    analysed_at: datetime
    number: int = 1
    replaces: Earlier | None = None


@dataclass(frozen=True, slots=True)
class Analyst:
    """One pipeline with the models it runs on. selections: of the evidence, as `evidence.encode` takes them.

    notice: where nothing of a study can be analysed, the evidence says why.
    """

    pipeline: Pipeline
    backend: Backend
    limits: Limits
    software_version: str
    institution: str = ""
    selections: tuple[Selection, ...] = (Selection(),)
    notice: bool = False

    def on(self, backend: Backend) -> Self:
        """The same with other models."""
        return replace(self, backend=backend)

    def analyse(
        self,
        series: Sequence[SeriesFiles],
        progress: Progress,
        expected_images: Mapping[str, int],
        run: Run,
    ) -> Outcome:
        """Walk the path for the series of one study.

        expected_images: how many images the sender holds, by Series Instance UID, where it was asked.
        Transient and Permanent errors of the back end pass through; a refusal never raises.
        """
        watch = Stopwatch(progress)
        refusals: dict[str, tuple[Refusal, ...]] = {}
        chosen: tuple[CT, Analysis] | None = None
        headers: dict[str, Dataset] = {}
        asked: dict[str, ModelUse] = {}
        for ranked in self._rank(series, expected_images, headers, watch):
            uid, eligibility = ranked.candidate.series_uid, ranked.candidate.eligibility
            if not eligibility.ok:
                refusals[uid] = eligibility.refusals
            elif chosen is not None:
                refusals[uid] = (Refusal(Reason.NOT_CHOSEN, "; ".join(ranked.reasons) + "."),)
            else:
                noting = Noting(self.backend)
                try:
                    chosen = self._analyse_series(_files(series, uid), eligibility.flags, noting, watch)
                except Rejected as rejected:
                    refusals[uid] = rejected.refusals
                    asked |= noting.asked
        if chosen is not None:
            watch("encode", 0.0)
            evidence = encode(*chosen, self._context(run), self.selections)
        elif self.notice:
            images = {one.series_uid: len(one.paths) for one in series}
            evidence = self._notice(list(headers.values()), refusals, images, run)
        else:
            evidence = ()
        return self._outcome(chosen, evidence, refusals, headers, tuple(asked.values()), run, watch)

    def _rank(
        self,
        series: Sequence[SeriesFiles],
        expected_images: Mapping[str, int],
        first_headers: dict[str, Dataset],
        watch: Stopwatch,
    ) -> tuple[Ranked, ...]:
        candidates = []
        for number, one in enumerate(series):
            watch("check", number / len(series))
            candidates.append(self._candidate(one, expected_images.get(one.series_uid), first_headers))
        return choose(of_one_patient(candidates, first_headers))

    def _candidate(
        self, series: SeriesFiles, expected_images: int | None, first_headers: dict[str, Dataset]
    ) -> Candidate:
        """A series whose headers cannot be parsed is refused for itself: the others are none the worse for it."""
        try:
            headers = read_headers(series)
            first_headers[series.series_uid] = headers[0]
            return candidate(headers, check_headers(headers, self.limits, expected_images))
        except _UNPARSABLE as error:
            refusal = Refusal(Reason.UNREADABLE, f"The headers cannot be parsed ({type(error).__name__}).")
            return Candidate(series.series_uid, Eligibility((refusal,)))

    def _analyse_series(
        self, paths: Sequence[Path], flags: tuple[Flag, ...], backend: Backend, watch: Stopwatch
    ) -> tuple[CT, Analysis]:
        watch("read", 0.0)
        ct = read_ct([dcmread(path) for path in paths], flags)
        return ct, self.pipeline.analyse(ct, backend, watch)

    def _context(self, run: Run) -> EvidenceContext:
        moment = with_fixed_zone(run.analysed_at.astimezone())
        return EvidenceContext(self.software_version, moment, self.institution, run.number, run.replaces)

    def _notice(
        self,
        headers: Sequence[Dataset],
        refusals: Mapping[str, tuple[Refusal, ...]],
        images: Mapping[str, int],
        run: Run,
    ) -> tuple[Evidence, ...]:
        """None where the headers do not say under which study it belongs: nothing is filed by guess."""
        try:
            return encode_notice(headers, refusals, self._context(run), images)
        except Rejected as rejected:
            log.warning("no notice: %s", "; ".join(map(str, rejected.refusals)))
            return ()

    def _outcome(
        self,
        chosen: tuple[CT, Analysis] | None,
        evidence: tuple[Evidence, ...],
        refusals: Mapping[str, tuple[Refusal, ...]],
        headers: Mapping[str, Dataset],
        asked: tuple[ModelUse, ...],
        run: Run,
        watch: Stopwatch,
    ) -> Outcome:
        uid, analysis = (chosen[0].series_uid, chosen[1]) if chosen else (None, None)
        seconds = watch.seconds()
        document = result_document(
            pipeline=self.pipeline.name,
            series_uid=uid,
            analysis=analysis,
            refusals=[SeriesRefusal(series_uid, r) for series_uid, rs in refusals.items() for r in rs],
            asked=asked,
            number=run.number,
            analysed_at=self._context(run).analysed_at,
            timings_s=seconds,
        )
        return Outcome(uid, analysis, evidence, refusals, seconds, document, headers, asked)


def _files(series: Sequence[SeriesFiles], uid: str) -> Sequence[Path]:
    return next(one.paths for one in series if one.series_uid == uid)
