"""How two analyses of one CT differ: what another back end, or another version of a model, changes for the reader.

Unlike `service.imaging.agreement` nothing is undefined, because no truth is involved: a label that neither analysis has
is the same in both, one that only one of them has agrees in nothing.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.domain.findings import LEFT_LOBES, RIGHT_LOBES, Analysis, Finding, Lobe

LUNGS, OPACITY, HIGH_OPACITY = "lungs", "opacity", "high opacity"

Score = int | None
"""None where it was not scored."""

_KINDS = len(Finding) + 1
_PAIRS = (len(Lobe) + 1) * _KINDS


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

    labels: by name: lungs, each lung, each lobe, opacity, high opacity. score: CT severity score, 0-25; lobe_scores:
    0-5 by lobe name. opacity_percent: of both lungs.
    """

    labels: Mapping[str, LabelDifference]
    score: tuple[Score, Score]
    lobe_scores: Mapping[str, tuple[Score, Score]]
    opacity_percent: tuple[float, float]

    @property
    def worst_dice(self) -> float:
        """Of all labels."""
        return min(label.dice for label in self.labels.values())

    @property
    def score_change(self) -> int | None:
        """Candidate minus reference; None where either was not scored."""
        reference, candidate = self.score
        return None if reference is None or candidate is None else candidate - reference

    @property
    def same_scores(self) -> bool:
        """Whether total and lobes are scored alike; not scored in both is alike."""
        return all(reference == candidate for reference, candidate in (self.score, *self.lobe_scores.values()))

    def as_document(self) -> dict[str, Any]:
        """Ready for `json.dumps(..., allow_nan=False)`; six decimals."""
        return {
            "worst_dice": round(self.worst_dice, 6),
            "score_change": self.score_change,
            "score": _pair(self.score),
            "lobe_scores": {lobe: _pair(scores) for lobe, scores in self.lobe_scores.items()},
            "opacity_percent": _pair(self.opacity_percent),
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
    """Compare two analyses of one CT; ValueError if their masks are not on one grid."""
    if reference.lobe_mask.shape != candidate.lobe_mask.shape:
        raise ValueError(f"masks of {reference.lobe_mask.shape} and {candidate.lobe_mask.shape} are not of one CT")
    overlap = _overlap(reference, candidate)
    every = range(_KINDS)

    def of_lobes(lobes: Collection[int]) -> float:
        return _dice(overlap, [lobe * _KINDS + kind for lobe in lobes for kind in every])

    def of_findings(kinds: Collection[int]) -> float:
        return _dice(overlap, [lobe * _KINDS + kind for lobe in range(len(Lobe) + 1) for kind in kinds])

    def of_lung(name: str, lobes: Collection[int]) -> LabelDifference:
        return LabelDifference(of_lobes(lobes), reference.lungs[name].volume_ml, candidate.lungs[name].volume_ml)

    before, after = reference.lungs["total"], candidate.lungs["total"]
    return Difference(
        labels={
            LUNGS: of_lung("total", list(Lobe)),
            "right lung": of_lung("right", RIGHT_LOBES),
            "left lung": of_lung("left", LEFT_LOBES),
            **{
                lobe.name: LabelDifference(
                    of_lobes([lobe]), reference.lobes[lobe].volume_ml, candidate.lobes[lobe].volume_ml
                )
                for lobe in Lobe
            },
            OPACITY: LabelDifference(of_findings(list(Finding)), before.opacity_ml, after.opacity_ml),
            HIGH_OPACITY: LabelDifference(
                of_findings([Finding.HIGH_OPACITY]), before.high_opacity_ml, after.high_opacity_ml
            ),
        },
        score=(reference.severity.total, candidate.severity.total),
        lobe_scores={
            lobe.name: (reference.severity.lobe_scores[lobe.name], candidate.severity.lobe_scores[lobe.name])
            for lobe in Lobe
        },
        opacity_percent=(before.opacity_percent, after.opacity_percent),
    )


def _overlap(reference: Analysis, candidate: Analysis) -> NDArray[np.int64]:
    """How many voxels have which lobe and finding in both, shape (pair in reference, pair in candidate).

    A pair is lobe * kinds + finding. Slice by slice, to keep memory small.
    """
    counts = np.zeros(_PAIRS * _PAIRS, np.int64)
    for k in range(len(reference.lobe_mask)):
        before, after = (a.lobe_mask[k] * np.uint8(_KINDS) + a.finding_mask[k] for a in (reference, candidate))
        some = (before > 0) | (after > 0)
        counts += np.bincount(before[some].astype(np.int64) * _PAIRS + after[some], minlength=len(counts))
    return counts.reshape(_PAIRS, _PAIRS)


def _dice(overlap: NDArray[np.int64], pairs: list[int]) -> float:
    """Of the voxels that have any of these pairs."""
    both = int(overlap[np.ix_(pairs, pairs)].sum())
    total = int(overlap[pairs].sum() + overlap[:, pairs].sum())
    return 2 * both / total if total else 1.0


def _pair(values: tuple[float | None, float | None]) -> dict[str, float | None]:
    reference, candidate = (round(v, 6) if isinstance(v, float) else v for v in values)
    return {"reference": reference, "candidate": candidate}
