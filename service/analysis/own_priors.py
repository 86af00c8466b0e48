"""This service's own earlier results, from its records and its spool."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import PurePosixPath

from sqlalchemy.exc import SQLAlchemyError

from service.analysis.prior_files import RESULT, NoPrior
from service.analysis.priors import PriorFiles, Purged, Wanted
from service.domain.ports import Spool
from service.domain.review import Verdict
from service.errors import Transient
from service.evidence.context import STUDY, is_segmentation
from service.store.engine import in_words
from service.store.names import results_folder
from service.store.prior_jobs import PriorJob, PriorJobs, patient_key

_A_ZONE = timedelta(days=1)
"""The database has acquisitions in UTC, by the zone of the machine where the CT tells none: a day covers any zone."""


@dataclass(frozen=True, slots=True)
class OwnPriors:
    """Results that are still there: a purge takes them away."""

    jobs: PriorJobs
    spool: Spool

    def candidates(self, wanted: Wanted) -> Iterator[AbstractContextManager[PriorFiles]]:
        """Transient if the database does not answer."""
        whose = wanted.patient
        key = patient_key(whose.patient_id, whose.issuer, whose.entity)
        until = wanted.acquired_at.replace(tzinfo=UTC) + _A_ZONE
        try:
            found = self.jobs.find(key, wanted.pipeline.name, wanted.study_uid, until, wanted.as_of)
            for one in found:
                yield self._files(one)
        except SQLAlchemyError as error:
            raise Transient(in_words(error)) from error

    @contextmanager
    def _files(self, prior: PriorJob) -> Iterator[PriorFiles]:
        wanted = [one.path for one in prior.objects if one.kind == STUDY.kind or is_segmentation(one.kind)]
        relatives = [f"{results_folder(prior.job_id)}/{RESULT}", *wanted]
        names = [PurePosixPath(relative).name for relative in relatives]
        try:
            with self.spool.local(relatives) as paths:
                yield PriorFiles(dict(zip(names, paths, strict=True)), tuple(_reviewed(prior)), _overridden(prior))
        except (FileNotFoundError, NoPrior) as error:  # also of who reads them
            if self.jobs.is_purged(prior.job_id):
                raise Purged(prior.job_id) from error
            raise


def _reviewed(prior: PriorJob) -> Iterator[str]:
    """Yield a remark where the latest reviewer has overridden the earlier headline."""
    if prior.verdict == Verdict.OVERRIDDEN:
        score = "" if prior.score is None else f": {prior.score:g} in its place"
        yield f"A reviewer has overridden the earlier headline{score}."


def _overridden(prior: PriorJob) -> str:
    """Return why the headline's number is not compared; "" if it stands."""
    if prior.verdict != Verdict.OVERRIDDEN:
        return ""
    return "overridden by a reviewer" + ("" if prior.score is None else f": {prior.score:g}")
