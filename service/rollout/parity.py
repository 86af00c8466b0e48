"""Parity: compares two back ends on one CT, before a back end or a model is used for patients.

The whole path of the CT runs on both. Masks, volumes and scores are compared, and every answer of the networks: 16 bits
can make one all black, or not a number, while the server reports success.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.domain.ct import CT
from service.domain.pipeline import Pipeline
from service.domain.ports import Backend, Progress
from service.errors import Permanent, Rejected
from service.imaging.difference import Difference, difference
from service.imaging.read import read_ct
from service.rollout.comparing_backends import CachingBackend, ComparingBackend
from service.rollout.output_statistics import MAX_FURTHER, OutputStatistics
from service.store.dicom_folder import headers, scan, whole

MIN_DICE = 0.995
"""Of every label. Mirrored images move lungs by 0.01 and opacities by 0.05 (docs/decisions/0063): rounding has to stay
far below what the networks are unsure of."""

SLACK_ML = 1.0
"""A label that differs by less passes with any Dice: a few voxels of a trace mean nothing."""


@dataclass(frozen=True, slots=True)
class Parity:
    """One CT on two back ends. difference: None where the candidate came to no result, `refused` says why, or
    where there is nothing to compare with."""

    answers: tuple[OutputStatistics, ...]
    difference: Difference | None
    refused: str | None = None

    @property
    def nonsense(self) -> tuple[str, ...]:
        """What no working model says, in words. Another version of a model may differ, but not so."""
        return _said(*(answers.nonsense for answers in self.answers), self.refused)

    @property
    def mistakes(self) -> tuple[str, ...]:
        """All that keeps the candidate from taking the reference's place, in words."""
        return _said(*(answers.mistake for answers in self.answers), self.refused, *self._of_the_result())

    def _of_the_result(self) -> Iterator[str]:
        if self.difference is None:
            return
        for name, label in self.difference.labels.items():
            if label.dice < MIN_DICE and label.differing_ml >= SLACK_ML:
                yield f"{name}: Dice {label.dice:.4f}, {label.differing_ml:.1f} mL differ"
        before, after = self.difference.headline
        if (before is None) != (after is None):
            yield f"headline: {before} before, {after} after"
        if not self.difference.same_scores:
            changed = ", ".join(name for name, (before, after) in self.difference.scores.items() if before != after)
            yield f"scores differ: {changed}"

    def as_document(self) -> dict[str, Any]:
        """Ready for `json.dumps(..., allow_nan=False)`."""
        return {
            "passed": not self.mistakes,
            "mistakes": list(self.mistakes),
            "limits": {"min_dice": MIN_DICE, "slack_ml": SLACK_ML, "max_further": MAX_FURTHER},
            "answers": [answers.as_document() for answers in self.answers],
            "difference": self.difference and self.difference.as_document(),
        }


def check_parity(pipeline: Pipeline, ct: CT, reference: Backend, candidate: Backend, progress: Progress) -> Parity:
    """The check of another back end for the same models; Permanent, with every mistake in words."""
    found = compare_backends(pipeline, ct, reference, candidate, progress)
    return _passed(found, found.mistakes)


def check_sense(
    pipeline: Pipeline, ct: CT, reference: Backend | None, candidate: Backend, progress: Progress
) -> Parity:
    """The check of another version of a model, which may differ but not talk nonsense; Permanent, in words."""
    found = compare_backends(pipeline, ct, reference, candidate, progress)
    return _passed(found, found.nonsense)


def compare_backends(
    pipeline: Pipeline, ct: CT, reference: Backend | None, candidate: Backend, progress: Progress
) -> Parity:
    """Analyse a CT on both. What the back ends raise passes through, and Rejected if the reference refuses the CT.

    Nothing that one of them found is used for the other. reference: None: there is nothing to compare with.
    """
    remembered, expected = None, None
    if reference is not None:
        remembered = CachingBackend(reference)
        expected = pipeline.analyse(ct.afresh(), remembered, lambda stage, part: progress(f"reference: {stage}", part))
    compared = ComparingBackend(remembered, candidate)
    try:
        found = pipeline.analyse(ct.afresh(), compared, lambda stage, part: progress(f"candidate: {stage}", part))
    except Rejected as rejected:
        return Parity(compared.answers, None, f"the CT is refused: {rejected}")
    return Parity(compared.answers, None if expected is None else difference(expected, found))


def largest_ct(folder: Path) -> CT:
    """The CT series of most files in a folder; Permanent if there is none, Rejected if it cannot be read."""
    series = max(scan([folder]), key=lambda one: len(one.paths), default=None)
    if series is None:
        raise Permanent(f"There is no DICOM series in {folder}.")
    return read_ct(headers(series), whole=whole)


def _passed(found: Parity, mistakes: tuple[str, ...]) -> Parity:
    if mistakes:
        raise Permanent(f"The models do not pass: {'; '.join(mistakes)}.")
    return found


def _said(*sentences: str | None) -> tuple[str, ...]:
    return tuple(sentence for sentence in sentences if sentence)
