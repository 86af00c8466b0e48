"""Texts of a notice besides the reasons: that it is no finding, and advice for each reason."""

from collections.abc import Iterable

from service.errors import Reason, Refusal

_NOT_NORMAL = "Not analysed is not the same as normal."
_NOTHING = "there is no score, no measurement and no segmentation of it"


def not_analysed(pipeline: str) -> tuple[str, ...]:
    """What a notice says first. pipeline: its name; other analyses of the CT have results or notices of their own."""
    return (
        _NOT_NORMAL,
        f"The analysis {pipeline} of this CT was not done: {_NOTHING}.",
        f"Read the images as usual; do not wait for a result of {pipeline}.",
    )


def no_ct(pipeline: str) -> tuple[str, ...]:
    """The same of a study without CT."""
    return (
        _NOT_NORMAL,
        f"Thoracle analyses CT only, and this study holds none: {_NOTHING}.",
        f"Read the images as usual; do not wait for a result of {pipeline}.",
    )


SEND = "A thin axial series of both lungs, original slices, is analysed as soon as it is sent."

OTHER_KIND = frozenset((Reason.NOT_CT, Reason.LOCALIZER, Reason.DOSE_REPORT))
"""Series that nobody expects a result of."""

_LASTING = OTHER_KIND | {Reason.AGE, Reason.TILT}
"""Reasons that no other reconstruction of the same scan takes away."""

_OF_OTHER_KIND = "Nothing: a series of this kind is never analysed."
_WHOLE_LUNGS = "Send a series that covers both lungs, from apex to base and from side to side."
_AGAIN = "Send the whole series again."

ADVICE = {
    Reason.NOT_CT: _OF_OTHER_KIND,
    Reason.LOCALIZER: _OF_OTHER_KIND,
    Reason.DERIVED: "Send the original slices; a site may allow derived ones (`limits.allow_derived`).",
    Reason.DOSE_REPORT: _OF_OTHER_KIND,
    Reason.NOT_AXIAL: "Send the axial slices.",
    Reason.TILT: "Nothing with this scan: only one without gantry tilt can be analysed.",
    Reason.MIXED_ORIENTATION: "Send each orientation as a series of its own.",
    Reason.MIXED_GEOMETRY: "Send each reconstruction as a series of its own.",
    Reason.DUPLICATE_POSITION: "Send each reconstruction or phase as a series of its own.",
    Reason.MULTIPHASE: "Send each reconstruction or phase as a series of its own.",
    Reason.MIXED_PATIENTS: "Find out whose images these are; send each patient's images as a study of its own.",
    Reason.MIXED_SERIES: "Send each series under its own UID, as the scanner made it.",
    Reason.IRREGULAR_SPACING: "Send a reconstruction with evenly spaced slices.",
    Reason.MISSING_SLICES: _AGAIN,
    Reason.TOO_THICK: "Send a reconstruction with thinner slices.",
    Reason.TOO_FEW: _AGAIN,
    Reason.SHORT_COVERAGE: _WHOLE_LUNGS,
    Reason.NOT_HU: "Send the scanner's own slices, in Hounsfield units.",
    Reason.DAMAGED_SLICES: "Look at the slices named above; send the whole series again from the scanner.",
    Reason.NO_LUNG: "Check that the series shows the chest; send the one that does.",
    Reason.TRUNCATED: _WHOLE_LUNGS,
    Reason.LUNG_LOST: "Look at the images: a part of a lung may be cut off or hidden.",
    Reason.INCOMPLETE: _AGAIN,
    Reason.AGE: "Nothing: the analysis is not meant for a patient of this age.",
    Reason.TOO_LARGE: "Send a reconstruction with a smaller matrix or fewer slices.",
    Reason.CODEC: "Send the series uncompressed.",
    Reason.UNREADABLE: "Send the series again as the scanner made it, with the attribute named above.",
    Reason.FAILED: "Send the series again as the scanner made it; if it fails again, tell the operator of Thoracle.",
    Reason.NO_PIPELINE: "Nothing, if no analysis is wanted; else the operator changes the rules of `pipelines`.",
    Reason.NOT_CHOSEN: "Nothing: another series of the study stands for it.",
}


def advice(refusals: Iterable[Refusal]) -> tuple[str, ...]:
    """What can be done about them all, each sentence once; of no use is what a lasting reason would outlive."""
    reasons = [refusal.reason for refusal in refusals]
    lasting = [reason for reason in reasons if reason in _LASTING]
    return tuple(dict.fromkeys(ADVICE[reason] for reason in lasting or reasons))
