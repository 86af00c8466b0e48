"""Compares a result with the latest earlier one of the same patient and pipeline.

What cannot be compared is told by a flag; the result itself is none the worse for it, whatever goes wrong here.
"""

import logging
from dataclasses import dataclass, replace
from datetime import datetime

from service.analysis.match_findings import matches_of
from service.analysis.prior_files import NoPrior, Prior, read_prior, told_acquisition
from service.analysis.priors import NotAsked, PriorFiles, Priors, Purged, Wanted, is_within
from service.domain.analysis import Analysis
from service.domain.compare import comparison
from service.domain.comparison import Comparison
from service.domain.ct import CT
from service.domain.flags import (
    COMPARISON_FAILED,
    PRIOR_CONTRADICTS,
    PRIOR_NOT_ASKED,
    PRIOR_UNPROVEN,
    PRIOR_UNREADABLE,
    Flag,
)
from service.domain.pipeline import Pipeline, comparison_rules
from service.domain.ports import Step
from service.domain.prior import Acquisition, Patient
from service.errors import Permanent
from service.evidence.times import acquisition_or_study_time
from service.imaging.patient_identity import acquisition_of, patient_of
from service.store.encryption import LOST
from service.worker_step import InternalError, worker_step

log = logging.getLogger(__name__)

Answer = tuple[Comparison | None, tuple[Flag, ...]]
"""The comparison, None where there is none; and the flags that it raises."""

NOTHING: Answer = (None, ())

ANY_AGE = 200.0
"""Years: of a result that somebody chose."""


@dataclass(frozen=True, slots=True)
class Comparer:
    """Compares with the earlier results of one source. most_years: older ones do not count."""

    priors: Priors
    most_years: float = 10.0

    def compare(self, pipeline: Pipeline, ct: CT, analysis: Analysis, as_of: datetime, step: Step) -> Answer:
        """What has changed since the latest earlier CT. step: called between the parts; what it raises passes through.

        as_of: aware; earlier results count that were there then. A CT without a patient ID, or that does not tell when
        it was acquired, is compared with none. OSError: the storage failed.
        """
        now, patient = acquisition(ct), patient_of(ct.headers[0])
        if now is None or not patient.patient_id:
            return NOTHING
        wanted = Wanted(patient, ct.study_uid, pipeline, analysis, now.acquired_at, as_of)
        step()
        try:
            with worker_step(MemoryError):
                return self._compared(ct, wanted, now, step)
        except NotAsked as error:
            return None, (PRIOR_NOT_ASKED.because(f"{error}."),)
        except InternalError as error:
            log.error("a comparison failed: %s\n%s", error, error.where)
            return None, (COMPARISON_FAILED.because(f"{error.kind}; the log tells where."),)

    def _compared(self, ct: CT, wanted: Wanted, now: Acquisition, step: Step) -> Answer:
        for candidate in self.priors.candidates(wanted):
            step()
            try:
                with candidate as held:
                    remarks, overridden = held.remarks, held.overridden
                    if not _may_be_earlier(held, wanted, self.most_years):
                        continue
                    prior = read_prior(held.files, wanted.pipeline.label_maps)
                    if not _is_earlier(prior, wanted, self.most_years):
                        continue
                    if flag := refused(wanted.patient, prior.result.patient):
                        return None, (flag,)
                    step()
                    rules = comparison_rules(wanted.pipeline)
                    matches = matches_of(rules.findings, prior, ct, wanted.analysis)
            except Purged:
                continue
            except (Permanent, FileNotFoundError, *LOST) as error:
                why = _in_words(error)
                log.warning("an earlier result cannot be used: %s", why)
                return None, (PRIOR_UNREADABLE.because(f"{why[0].upper()}{why[1:]}."),)
            found = comparison(replace(prior.result, overridden=overridden), wanted.analysis, now, rules, matches)
            return replace(found, remarks=(*remarks, *found.remarks)), ()
        return NOTHING


def acquisition(ct: CT) -> Acquisition | None:
    """How a CT was scanned; None where it does not say when."""
    acquired_at = acquisition_or_study_time(ct.headers)
    return None if acquired_at is None else acquisition_of(ct.headers, acquired_at)


def _in_words(error: Exception) -> str:
    """Only our own words are safe to print: others may quote a path."""
    return str(error) if isinstance(error, NoPrior) else type(error).__name__


def refused(now: Patient, then: Patient) -> Flag | None:
    """Return the flag that says why two patients must not be compared; None if they may."""
    if different := list(now.contradictions(then)):
        return PRIOR_CONTRADICTS.because(f"Different: {', '.join(different)}.")
    if not now.is_proven(then):
        return PRIOR_UNPROVEN.because("The patient ID has no issuer, or one of the two, and no birth date proves it.")
    return None


def _may_be_earlier(held: PriorFiles, wanted: Wanted, most_years: float) -> bool:
    """Whether its files say so, or nothing: a damaged result of a later day is in nobody's way."""
    acquired_at = told_acquisition(held.files)
    return acquired_at is None or is_within(acquired_at, wanted, most_years)


def _is_earlier(prior: Prior, wanted: Wanted, most_years: float) -> bool:
    """Whether it is a result of the same pipeline about another, earlier study."""
    found = prior.result
    if found.study_uid == wanted.study_uid or found.pipeline != wanted.pipeline.name:
        return False
    return is_within(found.acquisition.acquired_at, wanted, most_years)
