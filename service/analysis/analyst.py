"""Analyses one study: choose a series → read it → analyse it → encode the result.

No network, no database, no settings: the command line and the service both walk it. Of a study's series the best one
that passes every gate is analysed; every other one gets its reasons.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any, Self

from pydicom import Dataset

from service.analysis.compare_with_prior import NOTHING, Comparer, acquisition
from service.analysis.kept_headers import KeptHeaders
from service.analysis.last_ct import LastCt
from service.analysis.stopwatch import Stopwatch
from service.domain.analysis import Analysis, ModelUse, PipelineUse
from service.domain.ct import CT
from service.domain.eligibility import Eligibility, Limits
from service.domain.flags import OF_COMPARISON, Flag, in_order
from service.domain.pipeline import Pipeline
from service.domain.ports import Backend, Progress, Step
from service.domain.prior import Patient
from service.domain.unparsable import UNPARSABLE
from service.errors import Reason, Refusal, Rejected, is_storage_error, traceback_of
from service.evidence.context import Earlier, Evidence, EvidenceContext, PassedOver, Selection
from service.evidence.encode import encode
from service.evidence.notice import encode_notice
from service.evidence.result import SeriesRefusal, result_document
from service.evidence.times import with_fixed_zone
from service.imaging.choose import (
    Ranked,
    SeriesOption,
    choose,
    is_passed_over,
    of_one_patient,
    series_number,
    series_option,
)
from service.imaging.gate import check_headers
from service.imaging.patient_identity import patient_of
from service.imaging.read import read_ct
from service.inference.recording_backend import RecordingBackend
from service.store.dicom_folder import SeriesFiles, read_header, whole
from service.worker_step import InternalError, worker_step

log = logging.getLogger(__name__)

Result = tuple[CT, Analysis, tuple[Evidence, ...], EvidenceContext]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a study; `series_uid` and `analysis` are None when every series was refused.

    refusals: of every series that was not analysed, headers: the first of each that could be read; by Series Instance
    UID. document: result.json. asked: models that answered about a series before it was refused. candidates: models
    whose candidate version had a part in it. without: why other candidates had none, by model name. patient: by whom a
    later CT finds the result; None if it is not to be found.
    """

    series_uid: str | None
    analysis: Analysis | None
    evidence: tuple[Evidence, ...]
    refusals: Mapping[str, tuple[Refusal, ...]]
    timings_s: Mapping[str, float]
    document: Mapping[str, Any]
    headers: Mapping[str, Dataset] = field(default_factory=dict)
    asked: tuple[ModelUse, ...] = ()
    candidates: frozenset[str] = frozenset()
    without: Mapping[str, str] = field(default_factory=dict)
    patient: Patient | None = None

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

    notice: where nothing of a study can be analysed, the evidence says why. last: the CT that was read last.
    comparer: with earlier results; None: nothing is compared.
    """

    pipeline: Pipeline
    backend: Backend
    limits: Limits
    software_version: str
    institution: str = ""
    selections: tuple[Selection, ...] = (Selection(),)
    notice: bool = False
    last: LastCt = field(default_factory=LastCt)
    comparer: Comparer | None = None

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
        A refusal never raises, and any exception that a series causes is a refusal of that series: the next one is
        tried. What passes through is no series' fault: errors of the back end (Transient, Permanent), of the storage
        (OSError with an errno), want of memory, and whatever `progress` raises of `ThoracleError`.
        """
        watch = Stopwatch(progress)
        refusals: dict[str, tuple[Refusal, ...]] = {}
        done: Result | None = None
        asked: dict[str, ModelUse] = {}
        headers = KeptHeaders()
        every = self._rank(series, expected_images, headers, watch)
        for ranked in every:
            uid, eligibility = ranked.option.series_uid, ranked.option.eligibility
            if not eligibility.ok:
                refusals[uid] = eligibility.refusals
            elif done is not None:
                refusals[uid] = (Refusal(Reason.NOT_CHOSEN, "; ".join(ranked.reasons) + "."),)
            else:
                noting = RecordingBackend(self.backend)
                context = replace(self._context(run), passed_over=_passed_over(every, ranked, refusals, headers.first))
                try:
                    with worker_step(MemoryError):
                        done = self._analyse_series(
                            _files(series, uid), eligibility.flags, noting, context, headers, watch
                        )
                except (Rejected, InternalError, OSError) as error:  # the study's other series are none the worse
                    refusals[uid] = _refusals(error, watch.stage)
                    asked |= noting.asked
        evidence = done[2] if done else self._notice(series, list(headers.first.values()), refusals, run)
        return self._outcome(done, evidence, refusals, headers.first, tuple(asked.values()), run, watch)

    def _rank(
        self, series: Sequence[SeriesFiles], expected_images: Mapping[str, int], headers: KeptHeaders, watch: Stopwatch
    ) -> tuple[Ranked, ...]:
        options = []
        for number, one in enumerate(series):
            checking = partial(watch, "check", number / len(series))
            options.append(self._option(one, expected_images.get(one.series_uid), headers, checking))
        return choose(of_one_patient(options, headers.first), self.pipeline.preference)

    def _option(
        self, series: SeriesFiles, expected_images: int | None, headers: KeptHeaders, step: Step
    ) -> SeriesOption:
        """A series whose headers cannot be checked is refused for itself: the others are none the worse for it."""
        step()
        try:
            with worker_step(MemoryError):
                return self._checked(series, expected_images, headers, step)
        except (Rejected, InternalError, OSError) as error:
            refusals, cause = _refusals(error, "check"), _cause(error)
            if isinstance(cause, (*UNPARSABLE, OSError)):
                why = f"The headers cannot be parsed ({type(cause).__name__})."
                refusals = (Refusal(Reason.UNREADABLE, why),)
            return SeriesOption(series.series_uid, Eligibility(series.refusals or refusals))

    def _checked(
        self, series: SeriesFiles, expected_images: int | None, headers: KeptHeaders, step: Step
    ) -> SeriesOption:
        """A series with what its headers say of it."""
        if series.refusals:
            if series.paths:
                headers.keep_first(series.series_uid, read_header(series.paths[0]))
            return SeriesOption(series.series_uid, Eligibility(series.refusals))
        every = headers.of(series, step)
        found = series_option(every, check_headers(every, self.limits, expected_images))
        return replace(found, series_uid=series.series_uid)

    def _analyse_series(
        self,
        files: SeriesFiles,
        flags: tuple[Flag, ...],
        backend: Backend,
        context: EvidenceContext,
        headers: KeptHeaders,
        watch: Stopwatch,
    ) -> Result:
        reading, encoding = (partial(watch, stage, 0.0) for stage in ("read", "encode"))
        ct = self.last.get(files.content_key, flags, lambda: read_ct(headers.of(files, reading), (), reading, whole))
        found = self.pipeline.analyse(ct, backend, watch)
        self.last.analysed(ct)
        compared, flags = NOTHING
        if self.comparer is not None:
            step = partial(watch, "compare", 0.0)
            compared, flags = self.comparer.compare(self.pipeline, ct, found, context.analysed_at, step)
        every = (*self.pipeline.flags, *OF_COMPARISON)
        analysis = replace(found, flags=in_order((*ct.flags, *found.flags, *flags), every), comparison=compared)
        encoding()
        report = partial(self.pipeline.report, ct, analysis, encoding)
        return ct, analysis, encode(ct, analysis, report, context, self.selections, encoding), context

    def _context(self, run: Run) -> EvidenceContext:
        moment = with_fixed_zone(run.analysed_at.astimezone())
        pipeline = PipelineUse(self.pipeline.name, self.pipeline.version, self.pipeline.series_number)
        return EvidenceContext(self.software_version, moment, pipeline, self.institution, run.number, run.replaces)

    def _notice(
        self,
        series: Sequence[SeriesFiles],
        headers: Sequence[Dataset],
        refusals: Mapping[str, tuple[Refusal, ...]],
        run: Run,
    ) -> tuple[Evidence, ...]:
        """None where nobody wants one, or the headers do not tell whose it is: nothing is filed by guess."""
        if not self.notice:
            return ()
        images = {one.series_uid: len(one.paths) for one in series if not one.refusals}
        try:
            with worker_step(MemoryError):
                return encode_notice(headers, refusals, self._context(run), images)
        except (Rejected, InternalError, OSError) as error:  # the study stays refused by name
            log.warning("no notice: %s", "; ".join(map(str, _refusals(error, "notice"))))
            return ()

    def _outcome(
        self,
        done: Result | None,
        evidence: tuple[Evidence, ...],
        refusals: Mapping[str, tuple[Refusal, ...]],
        headers: Mapping[str, Dataset],
        asked: tuple[ModelUse, ...],
        run: Run,
        watch: Stopwatch,
    ) -> Outcome:
        uid, analysis = (done[0].series_uid, done[1]) if done else (None, None)
        seconds = watch.seconds()
        document = result_document(
            pipeline=self.pipeline.name,
            series_uid=uid,
            analysis=analysis,
            refusals=[SeriesRefusal(series_uid, r) for series_uid, rs in refusals.items() for r in rs],
            passed_over=done[3].passed_over_warnings if done else (),
            asked=asked,
            number=run.number,
            analysed_at=self._context(run).analysed_at,
            timings_s=seconds,
            acquisition=acquisition(done[0]) if done else None,
        )
        patient = patient_of(done[0].headers[0]) if done and self.comparer else None
        return Outcome(uid, analysis, evidence, refusals, seconds, document, headers, asked, patient=patient)


def not_taken(series: Sequence[SeriesFiles], run: Run) -> Outcome:
    """The outcome of a study that no pipeline takes: every series is refused, and nothing is filed."""
    why = (Refusal(Reason.NO_PIPELINE, "No rule of `pipelines` matches."),)
    refusals = {one.series_uid: one.refusals or why for one in series}
    told = [SeriesRefusal(uid, refusal) for uid, reasons in refusals.items() for refusal in reasons]
    document = result_document(
        pipeline="",
        series_uid=None,
        analysis=None,
        refusals=told,
        number=run.number,
        analysed_at=run.analysed_at.astimezone(),
    )
    return Outcome(None, None, (), refusals, {}, document)


def _files(series: Sequence[SeriesFiles], uid: str) -> SeriesFiles:
    return next(one for one in series if one.series_uid == uid)


def _passed_over(
    every: Sequence[Ranked],
    chosen: Ranked,
    failed: Mapping[str, Sequence[Refusal]],
    headers: Mapping[str, Dataset],
) -> tuple[PassedOver, ...]:
    """Better series that are not analysed: those that were tried before, and those that the gate refused.

    failed: refusals by Series Instance UID until now.
    """
    tried = [r.option for r in every if r.rank < chosen.rank]
    refused = [r.option for r in every if is_passed_over(r.option, chosen.option)]
    found = [
        *((c, failed[c.series_uid]) for c in tried),
        *((c, c.eligibility.refusals) for c in refused if not c.eligibility.ok),
    ]
    numbers = {uid: series_number(header) for uid, header in headers.items()}
    return tuple(
        PassedOver(tuple(dict.fromkeys(r.reason for r in refusals)), numbers.get(c.series_uid)) for c, refusals in found
    )


def _cause(error: Exception) -> Exception:
    return error.cause if isinstance(error, InternalError) else error


def _refusals(error: Rejected | InternalError | OSError, stage: str) -> tuple[Refusal, ...]:
    """Returns why the series that caused the error is refused; raises an error of the storage."""
    if isinstance(error, Rejected):
        return error.refusals
    if is_storage_error(error):
        raise error
    cause = _cause(error)
    log.error("a series failed in the step %s: %s\n%s", stage, type(cause).__name__, traceback_of(cause))
    return (Refusal(Reason.FAILED, f"{type(cause).__name__} in the step '{stage}'; the log tells where."),)
