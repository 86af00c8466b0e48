"""A study's files, opened for an analysis."""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from pydicom import Dataset

from service.analysis.analyst import Run
from service.domain.job import Job
from service.domain.ports import Spool
from service.domain.routing import Rule, StudyFacts, routed
from service.domain.unparsable import UNPARSABLE
from service.errors import Reason, Refusal, Rejected, is_storage_error
from service.evidence.context import Earlier
from service.imaging.attributes import texts
from service.imaging.facts import series_facts
from service.store.dicom_folder import SeriesFiles, read_header
from service.store.encryption import LOST
from service.store.records import Records, SeriesRecord

log = logging.getLogger(__name__)

Study = tuple[list[SeriesFiles], Callable[[str, float], None], Mapping[str, int]]
"""What the analyst needs of a study: its series, who is told of progress, how many images the sender holds."""

ExpectedImages = Callable[[str, Sequence[SeriesRecord]], Mapping[str, int]]
"""How many images the sender holds by Series Instance UID, for a study UID and its series; empty if nobody knows."""


_HEADERS_TRIED = 3
"""Images of a series that are looked at before it counts as unreadable."""


def run_of(job: Job, replaces: Earlier | None = None) -> Run:
    """What the analyst is told of a job; a job that was analysed before its start was recorded has its creation."""
    return Run(job.started_at or job.created_at, job.number, replaces)


def _refused(record: SeriesRecord) -> SeriesRecord:
    """Record of a series in a study without CT images: one image tells whose it is."""
    return replace(record, paths=record.other_images[:1])


def _not_ct(record: SeriesRecord) -> tuple[Refusal, ...]:
    """Reasons to refuse a series that holds no CT image; none if it holds one."""
    if not set(record.paths) <= set(record.other_images):
        return ()
    kinds = "; ".join(text.removeprefix(f"{Reason.NOT_CT}: ") for text in record.ignored)
    return (Refusal(Reason.NOT_CT, f"{kinds}."),)


def _header(path: Path) -> Dataset | None:
    """The header of a file, None if it cannot be parsed or is too large; OSError if the storage fails."""
    try:
        header = read_header(path)
        texts(header, "ImageType")
    except OSError as error:
        if is_storage_error(error):
            raise
        return None
    except (Rejected, *UNPARSABLE):
        return None
    return header


_NO_RULE = (Refusal(Reason.NO_PIPELINE, "No rule of the pipeline matches this series."),)


class Studies:
    """Opens the studies of jobs."""

    def __init__(
        self,
        spool: Spool,
        records: Records,
        expected_images: ExpectedImages,
        rules: Mapping[str, Sequence[Rule]] = MappingProxyType({}),
    ) -> None:
        """rules: which series each pipeline takes, by its name; without any it takes all."""
        self._spool = spool
        self._records = records
        self._expected_images = expected_images
        self._rules = rules

    def facts(self, study_uid: str) -> list[StudyFacts]:
        """What rules look at, of each series of a study that has CT images; OSError if they cannot be read now.

        Nothing of a series of which no header can be parsed, nor of a scout, which is never analysed: the gate refuses
        them by name.
        """
        facts = (self._series_facts(one) for one in self._records.series_of(study_uid))
        return [one for one in facts if one is not None]

    def _not_taken(self, job: Job, records: Sequence[SeriesRecord]) -> frozenset[str]:
        """UIDs of series that no rule of the job's pipeline takes, while one takes another of the study's series."""
        if not (rules := self._rules.get(job.pipeline)):
            return frozenset()
        facts = {one.series_uid: self._series_facts(one) for one in records}
        known = {uid: one for uid, one in facts.items() if one is not None}
        others = frozenset(uid for uid, one in known.items() if not routed(rules, one))
        return others if len(others) < len(known) else frozenset()

    def _series_facts(self, one: SeriesRecord) -> StudyFacts | None:
        """Returns the facts in the first header that can be parsed; None if there is none, and for a scout."""
        for relative in one.paths[:_HEADERS_TRIED]:
            try:
                with self._spool.local([relative]) as (path,):
                    header = _header(path)
            except LOST:
                continue
            if header is not None:
                scout = "LOCALIZER" in texts(header, "ImageType")
                return None if scout else series_facts(header, one.calling_ae, one.called_ae, one.first_received_at)
        return None

    def _opened(self, open_files: ExitStack, one: SeriesRecord) -> tuple[tuple[Path, ...], tuple[Refusal, ...]]:
        """The files of a series; if one of them is lost, the first that is not, whose header tells whose they are, and
        why the series is refused: the study's other series are none the worse for it.
        """
        try:
            return tuple(open_files.enter_context(self._spool.local(one.paths))), ()
        except LOST as error:
            log.error("a series is refused: a received file cannot be decrypted: %s", error)
            why = (Refusal(Reason.UNREADABLE, f"A received file cannot be decrypted ({type(error).__name__})."),)
        for relative in one.paths[:_HEADERS_TRIED]:
            with suppress(*LOST):
                return tuple(open_files.enter_context(self._spool.local([relative]))), why
        return (), why

    @contextmanager
    def open(self, job: Job, doing: str = "") -> Iterator[Study]:
        """For as long as the block lasts. doing: said in the log before each stage."""
        every = self._records.series_of(job.study_uid)
        records = [r for r in every if r.paths] or [_refused(r) for r in every if r.other_images]
        stages: set[str] = set()

        def progress(stage: str, _fraction: float) -> None:
            if stage not in stages:
                stages.add(stage)
                log.info("job %s: %s%s", job.job_id, doing, stage)

        with ExitStack() as open_files:
            opened = [self._opened(open_files, r) for r in records]
            not_taken = self._not_taken(job, records)
            files = [
                SeriesFiles(
                    job.study_uid,
                    r.series_uid,
                    paths,
                    lost or _not_ct(r) or (_NO_RULE if r.series_uid in not_taken else ()),
                    tuple(r.paths),
                )
                for r, (paths, lost) in zip(records, opened, strict=True)
            ]
            yield files, progress, self._expected_images(job.study_uid, records)
