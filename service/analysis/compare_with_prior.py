"""Compares a result with the latest earlier one of the same patient and pipeline.

What cannot be compared is told by a flag; the result itself is none the worse for it, whatever goes wrong here.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import highdicom as hd
import numpy as np

from service.analysis.prior_files import NoPrior, Prior, read_prior
from service.analysis.priors import NotAsked, Priors, Wanted, is_within
from service.domain import codes
from service.domain.analysis import Analysis
from service.domain.compare import Matches, comparison
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
from service.domain.pipeline import ComparedFindings, Pipeline, comparison_rules
from service.domain.ports import Step
from service.domain.prior import Acquisition, Patient
from service.errors import Permanent
from service.evidence.times import acquisition_or_study_time
from service.imaging.boxes import label_bounds
from service.imaging.finding_match import Points, in_reach_of, match, points_of
from service.imaging.patient_identity import acquisition_of, patient_of
from service.imaging.registration import register
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
                    remarks = held.remarks
                    prior = read_prior(held.files, wanted.pipeline.label_maps)
                    if not _is_earlier(prior, wanted, self.most_years):
                        continue
                    if flag := refused(wanted.patient, prior.result.patient):
                        return None, (flag,)
                    step()
                    rules = comparison_rules(wanted.pipeline)
                    matches = _matches(rules.findings, prior, ct, wanted.analysis)
            except (Permanent, FileNotFoundError, *LOST) as error:
                why = _in_words(error)
                log.warning("an earlier result cannot be used: %s", why)
                return None, (PRIOR_UNREADABLE.because(f"{why[0].upper()}{why[1:]}."),)
            found = comparison(prior.result, wanted.analysis, now, rules, matches)
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
    """Why two CTs must not be compared, by whose they are; None if they may."""
    if different := list(now.contradictions(then)):
        return PRIOR_CONTRADICTS.because(f"Different: {', '.join(different)}.")
    if not now.is_proven(then):
        return PRIOR_UNPROVEN.because("The patient ID has no issuer, or one of the two, and no birth date proves it.")
    return None


def _is_earlier(prior: Prior, wanted: Wanted, most_years: float) -> bool:
    """Whether it is a result of the same pipeline about another, earlier study."""
    found = prior.result
    if found.study_uid == wanted.study_uid or found.pipeline != wanted.pipeline.name:
        return False
    return is_within(found.acquisition.acquired_at, wanted, most_years)


def _matches(rules: ComparedFindings | None, prior: Prior, ct: CT, analysis: Analysis) -> Matches:
    """Findings by position. Nothing is registered where one of the two CTs has no finding."""
    if rules is None:
        return Matches()
    some_now = any(one.present for one in analysis.label_maps if one.name == rules.label_map)
    if not some_now or not prior.result.segments_of(rules.label_map):
        return Matches()
    lungs_then, lungs_now = _prior_lungs(prior, analysis), _lungs(ct, analysis)
    motion = None if lungs_then is None or lungs_now is None else register(lungs_then, lungs_now)
    if motion is None:
        return Matches(known=False)
    points_then, points_now = dict(_prior_points(prior, rules)), dict(_points(ct, analysis, rules))
    (then, many_then), (now, many_now) = (_apart(one, rules) for one in (points_then, points_now))
    found = match(then, now, motion.to_now)
    return Matches(
        found.pairs,
        found.beside,
        found.beside_then,
        in_reach_of(now, many_then, motion.to_then),
        in_reach_of(then, many_now, motion.to_now),
        motion.overlap,
    )


def _apart(points: Mapping[str, Points], rules: ComparedFindings) -> tuple[dict[str, Points], Points | None]:
    """Findings one by one, and all that are told together; None if there are none."""
    together = [one for name, one in points.items() if name in rules.together]
    alone = {name: one for name, one in points.items() if name not in rules.together}
    return alone, np.concatenate(together) if together else None


def _lungs(ct: CT, analysis: Analysis) -> hd.Volume | None:
    """Labels of both lungs: of the label maps that hold anatomy, and nothing else."""
    maps = [one.labels for one in analysis.label_maps if one.name in _anatomy(analysis)]
    return ct.volume.with_array(maps[0]) if maps else None


def _prior_lungs(prior: Prior, analysis: Analysis) -> hd.Volume | None:
    """The same of the earlier result, by the names of the present one's label maps."""
    for name in _anatomy(analysis):
        if (labels := prior.labels(name)) is not None:
            return hd.Volume(labels.mask(list(labels.names)).view(np.uint8), labels.grid.affine, "PATIENT")
    return None


def _anatomy(analysis: Analysis) -> list[str]:
    return [one.name for one in analysis.label_maps if all(s.category == codes.ANATOMY for s in one.segments)]


def _points(ct: CT, analysis: Analysis, rules: ComparedFindings) -> Iterator[tuple[str, Points]]:
    """Positions of each segment of the findings now, in LPS mm."""
    found = analysis.label_map(rules.label_map)
    for segment in found.present:
        box = label_bounds(found.labels, segment.label)
        yield segment.name, points_of(found.labels[box] == segment.label, ct.volume[box].affine)


def _prior_points(prior: Prior, rules: ComparedFindings) -> Iterator[tuple[str, Points]]:
    """Positions of each segment of the findings of the earlier result, in LPS mm of its CT."""
    labels = prior.labels(rules.label_map)
    if labels is not None:
        for number, called in labels.names.items():
            yield called[-1], points_of(labels.mask([number]), labels.grid.affine)
