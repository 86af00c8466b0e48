"""What is right for each inbound case, and where the cases are built."""

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

from helpers.shared_data import shared_data

from service.analysis.analyst import Outcome
from service.domain.flags import LUNG_AT_EDGE, Flag
from service.errors import Reason


@dataclass(frozen=True, slots=True)
class Right:
    """The right outcome of one case. An empty field is not looked at.

    shown: what was sent. reasons: one of them refuses every series. named: what the refusal's details name.
    flags: instead of a refusal, the result may carry one of them. same: the result is that of the unmodified CT.
    series_uid: the one to analyse.
    """

    shown: str
    reasons: frozenset[Reason] = frozenset()
    named: tuple[str, ...] = ()
    flags: frozenset[Flag] = frozenset()
    same: bool = False
    series_uid: str = ""

    def words(self) -> str:
        """The right outcome for the page."""
        parts = []
        if self.reasons:
            parts.append(f"refused `{'` or `'.join(sorted(self.reasons))}`")
        if self.named:
            parts.append(f"naming {', '.join(self.named)}")
        if self.flags:
            parts.append(f"or analysed with `{'` or `'.join(sorted(flag.code for flag in self.flags))}`")
        if self.series_uid:
            parts.append("the second series")
        if self.same:
            parts.append(_SAME)
        return ", ".join(parts) or "analysed"

    def allows(self, outcome: Outcome) -> bool:
        """Whether the outcome is right, but for `same`, which needs the unmodified CT's outcome."""
        if outcome.analysis is not None:
            return self.series_uid in ("", outcome.series_uid) and (
                not self.reasons or not self.flags.isdisjoint(outcome.analysis.flags)
            )
        refusals = [refusal for refusals in outcome.refusals.values() for refusal in refusals]
        details = " ".join(refusal.detail for refusal in refusals)
        return bool(self.reasons & {r.reason for r in refusals}) and all(name in details for name in self.named)


def got(outcome: Outcome, same: bool) -> str:
    """What became of a case, for the page; no figure that depends on the processor. same: as the unmodified CT."""
    if outcome.analysis is None:
        reasons = sorted({refusal.reason for refusals in outcome.refusals.values() for refusal in refusals})
        return f"refused `{'`, `'.join(reasons)}`"
    if same:
        return _SAME
    edge = [flag.code for flag in outcome.analysis.flags if flag in EDGE]
    return f"analysed with `{'`, `'.join(edge)}`" if edge else "analysed"


EDGE = frozenset((LUNG_AT_EDGE,))
_SAME = "analysed as the unmodified CT"

RIGHT: Mapping[str, Right] = {
    "lungs_cut_both_sides": Right(
        "both lungs cut off at left and right",
        frozenset((Reason.TRUNCATED,)),
        ("right lung's surface to the right", "left lung's surface to the left"),
        flags=EDGE,
    ),
    "left_lung_cut": Right(
        "the left lung cut off", frozenset((Reason.TRUNCATED,)), ("left lung's surface to the left",), flags=EDGE
    ),
    "blank_slices": Right(
        "three slices of zeros in mid-lung", frozenset((Reason.DAMAGED_SLICES,)), ("112", "114", "116")
    ),
    "other_intercept": Right("four slices with another Rescale Intercept", frozenset((Reason.NOT_HU,))),
    "two_patients": Right("half of the images of another patient", frozenset((Reason.MIXED_PATIENTS,))),
    "interleaved_reconstructions": Right(
        "every second slice of another reconstruction", frozenset((Reason.MULTIPHASE,))
    ),
    "slice_thickness_empty": Right("Slice Thickness empty", same=True),
    "two_study_dates": Right("Study Date with two values", same=True),
    "padding_two_values": Right(
        "Pixel Padding Value with two values", frozenset((Reason.UNREADABLE,)), ("PixelPaddingValue",)
    ),
    "broken_best_series": Right(
        "that as the best series, and a second one", same=True, series_uid="1.2.826.0.1.3680043.8.498.5"
    ),
    "name_in_iso_2022_ir_58": Right("a Chinese name in ISO 2022 IR 58", same=True),
    "private_element_of_wrong_length": Right("a private element of a wrong length", same=True),
    "long_patient_name": Right("a name of 60,000 characters", same=True),
    "rounded_positions": Right("1.75 mm steps written to 0.1 mm"),
}
"""Right outcomes by the name of the case."""


@cache
def builder() -> ModuleType:
    """The module that builds the cases, which lies beside the project."""
    path = shared_data("../cases/build.py")
    spec = importlib.util.spec_from_file_location("inbound_case_builder", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def datasets(name: str) -> list[Any]:
    """The images of one case, or of the unmodified CT ("")."""
    return list(builder().CASES[name]() if name else builder().load())
