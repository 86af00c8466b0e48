"""Compares two analyses of one CT: what another back end, or another version of a model, changes for the reader.

Unlike `service.imaging.agreement` nothing is undefined, because no truth is involved: a label that neither analysis has
is the same in both, one that only one of them has agrees in nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain import codes
from service.domain.analysis import Analysis, LabelMap, Measurement

Value = float | None
"""None where it was not determined."""

Pair = tuple[Value, Value]
"""Two values of one measurement: that of the reference, that of the candidate."""


@dataclass(frozen=True, slots=True)
class LabelDifference:
    """One label. dice: 0 to 1; 1 where both lack the label, 0 where one does."""

    dice: float
    reference_ml: float
    candidate_ml: float

    @property
    def differing_ml(self) -> float:
        """Volume that has the label in one analysis only."""
        return (1.0 - self.dice) * (self.reference_ml + self.candidate_ml)


@dataclass(frozen=True, slots=True)
class Difference:
    """What changes from the reference to the candidate; pairs are in that order.

    labels: each label map as a whole by its name, each of its segments by the segment's. headline: value, and its
    name. scores: whole numbers on a scale, by "group.measurement". drift: by name, as the analyses tell it.
    """

    labels: Mapping[str, LabelDifference]
    headline_name: str
    headline: Pair
    scores: Mapping[str, Pair]
    drift: Mapping[str, Pair]

    @property
    def worst_dice(self) -> float:
        """Least Dice of all labels."""
        return min((label.dice for label in self.labels.values()), default=1.0)

    @property
    def headline_change(self) -> float | None:
        """Candidate minus reference; None where either has no value."""
        reference, candidate = self.headline
        return None if reference is None or candidate is None else candidate - reference

    @property
    def same_scores(self) -> bool:
        """Whether all scores are equal; not scored in both is equal."""
        return all(reference == candidate for reference, candidate in self.scores.values())

    def as_document(self) -> dict[str, Any]:
        """Ready for `json.dumps(..., allow_nan=False)`; six decimals."""
        return {
            "worst_dice": round(self.worst_dice, 6),
            "headline_name": self.headline_name,
            "headline": _pair(self.headline),
            "headline_change": self.headline_change,
            "scores": {name: _pair(pair) for name, pair in self.scores.items()},
            "drift": {name: _pair(pair) for name, pair in self.drift.items()},
            "labels": {
                name: {
                    "dice": round(label.dice, 6),
                    "reference_ml": round(label.reference_ml, 6),
                    "candidate_ml": round(label.candidate_ml, 6),
                }
                for name, label in self.labels.items()
            },
        }


def difference(reference: Analysis, candidate: Analysis) -> Difference:
    """Compare two analyses of one CT by one pipeline; ValueError if they are of two, or not on one grid."""
    names = reference.pipeline.name, candidate.pipeline.name
    if len(set(names)) > 1:
        raise ValueError(f"results of {' and '.join(names)} are not compared")
    labels: dict[str, LabelDifference] = {}
    for before, after in _label_maps(reference, candidate):
        labels |= _labels(before, after, reference.voxel_ml)
    return Difference(
        labels=labels,
        headline_name=reference.headline.name,
        headline=(reference.headline.value, candidate.headline.value),
        scores=_pairs(_scores(reference), _scores(candidate)),
        drift=_pairs(reference.drift, candidate.drift),
    )


def _label_maps(reference: Analysis, candidate: Analysis) -> Iterator[tuple[LabelMap, LabelMap]]:
    """Every label map that either has; one that only one of them has is empty in the other."""
    before, after = ({one.name: one for one in analysis.label_maps} for analysis in (reference, candidate))
    for name in dict.fromkeys((*before, *after)):
        known = before.get(name) or after[name]
        nothing = replace(known, labels=np.zeros_like(known.labels))
        yield before.get(name, nothing), after.get(name, nothing)


def _labels(reference: LabelMap, candidate: LabelMap, voxel_ml: float) -> dict[str, LabelDifference]:
    overlap = _overlap(reference, candidate)
    segments = {segment.name: segment.label for one in (reference, candidate) for segment in one.segments}
    wanted = {reference.name: sorted(set(segments.values()))} | {name: [label] for name, label in segments.items()}
    return {name: _difference(overlap, labels, voxel_ml) for name, labels in wanted.items()}


def _difference(overlap: NDArray[np.int64], labels: list[int], voxel_ml: float) -> LabelDifference:
    both = int(overlap[np.ix_(labels, labels)].sum())
    before, after = int(overlap[labels].sum()), int(overlap[:, labels].sum())
    dice = 2 * both / (before + after) if before + after else 1.0
    return LabelDifference(dice, before * voxel_ml, after * voxel_ml)


def _overlap(reference: LabelMap, candidate: LabelMap) -> NDArray[np.int64]:
    """How many voxels have which label in both, shape (label in reference, label in candidate).

    Slice by slice, to keep memory small.
    """
    if reference.labels.shape != candidate.labels.shape:
        raise ValueError(f"labels of {reference.labels.shape} and {candidate.labels.shape} are not of one CT")
    size = 1 + max(segment.label for one in (reference, candidate) for segment in one.segments)
    counts = np.zeros(size * size, np.int64)
    for before, after in zip(reference.labels, candidate.labels, strict=True):
        some = (before > 0) | (after > 0)
        counts += np.bincount(before[some].astype(np.int64) * size + after[some], minlength=len(counts))
    return counts.reshape(size, size)


def _scores(analysis: Analysis) -> dict[str, float]:
    return {
        f"{group.name}.{one.name}": one.value
        for group in analysis.groups
        for one in group.measurements
        if _is_score(one)
    }


def _is_score(one: Measurement) -> bool:
    return bool(one.unit == codes.SCORE)


def _pairs(reference: Mapping[str, float], candidate: Mapping[str, float]) -> dict[str, Pair]:
    names = dict.fromkeys((*reference, *candidate))
    return {name: (reference.get(name), candidate.get(name)) for name in names}


def _pair(values: Pair) -> dict[str, float | None]:
    reference, candidate = (None if value is None else round(value, 6) for value in values)
    return {"reference": reference, "candidate": candidate}
