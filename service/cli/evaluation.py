"""Prediction against truth, case by case: what `thoracle evaluate` does between reading its options and writing."""

from dataclasses import dataclass, field
from pathlib import Path

from service.domain.label_selection import Names, Selection, numbers, shared
from service.errors import ThoracleError
from service.imaging.agreement import BOTH_EMPTY, Agreement, compare
from service.imaging.labels import align, alone
from service.store.label_files import read_labels


class Unmatched(ThoracleError):
    """Which labels belong together was not said."""


@dataclass(slots=True)
class Evaluation:
    """What was found so far.

    selections: of PRED and of TRUTH, None to compare what is called the same. agreements: label, then case. notes: of
    each case that was measured. failed: case to the reason. found: labels with the side on which a file has them.
    """

    tolerance_mm: float
    resample: bool
    selections: tuple[Selection, Selection] | None
    agreements: dict[str, dict[str, Agreement]] = field(default_factory=dict)
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    found: set[tuple[str, str]] = field(default_factory=set)

    def add(self, case: str, pred_path: Path | None, truth_path: Path) -> None:
        """Measure one case; Unmatched if nobody can know which labels belong together."""
        truth = read_labels(truth_path)
        pred = read_labels(pred_path) if pred_path else None
        pred_names = pred.names if pred else {}
        for_pred, for_truth = self.selections or _shared(pred.names if pred else None, truth.names)
        aligned = align(pred, truth, self.resample) if pred else alone(truth)
        measured = {}
        for label in for_truth:
            in_pred, in_truth = numbers(for_pred[label], pred_names), numbers(for_truth[label], truth.names)
            self.found |= {(label, side) for side, found in (("PRED", in_pred), ("TRUTH", in_truth)) if found}
            masks = aligned.pred(in_pred), aligned.truth(in_truth)
            measured[label] = compare(*masks, aligned.spacing_mm, aligned.slice_axis, self.tolerance_mm)
        for label, agreement in measured.items():
            self.agreements.setdefault(label, {})[case] = agreement
        self.notes[case] = aligned.notes

    def finish(self) -> None:
        """A label that a case has in neither file is empty there."""
        for cases in self.agreements.values():
            for case in self.notes:
                cases.setdefault(case, BOTH_EMPTY)

    def never_found(self) -> list[str]:
        """Labels that were asked for and that no file of one side has, in words."""
        return [
            f"no {side} file has the label {label!r}: counted as empty"
            for label in (self.selections[1] if self.selections else ())
            for side in ("PRED", "TRUTH")
            if (label, side) not in self.found
        ]


def _shared(pred: Names | None, truth: Names) -> tuple[Selection, Selection]:
    try:
        selection = shared(pred, truth)
    except ValueError as error:
        raise Unmatched(str(error)) from error
    return selection, selection
