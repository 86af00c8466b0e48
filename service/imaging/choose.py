"""The best series of a study: a total order, so the same study always gives the same choice.

    what the pipeline prefers, thickness nearest 1-1.5 mm, no contrast, coverage, SeriesNumber, UID

Refused series come last. Preference and contrast only rank, they never refuse.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from pydicom import Dataset

from service.domain.eligibility import Eligibility
from service.errors import Reason, Refusal
from service.imaging.attributes import CT_CLASSES, Unreadable, known_text, optional_number, texts
from service.imaging.contrast import contrast_given
from service.imaging.gate.identity import one_patient

T = TypeVar("T")

BEST_THICKNESS_MM = (1.0, 1.5)
_KERNEL_LENGTH = 16  # of SH (PS3.5 6.2)

_OTHER_KINDS = frozenset(
    (Reason.NOT_CT, Reason.LOCALIZER, Reason.DERIVED, Reason.DOSE_REPORT, Reason.NOT_AXIAL, Reason.TOO_FEW)
)
"""What a study has beside its volumes: scouts, reformatted planes, single slices that follow a bolus."""

Score = tuple[bool, int, float, bool, float, float, str]

Preference = Callable[[tuple[str, ...], float | None], int]
"""Ranks a series by its kernels and its thickness in mm, 0 for the best (`Pipeline.preference`)."""


def no_preference(kernels: tuple[str, ...], thickness_mm: float | None) -> int:
    """Every reconstruction is as good as another."""
    return 0


@dataclass(frozen=True, slots=True)
class SeriesOption:
    """One series of the study. kernels: the values of Convolution Kernel; series_number: None if not numbered."""

    series_uid: str
    eligibility: Eligibility
    kernels: tuple[str, ...] = ()
    contrast: bool = False
    series_number: int | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One series with its place (1 is best), its score (smaller is better) and the score in words."""

    rank: int
    option: SeriesOption
    score: Score
    reasons: tuple[str, ...]


def series_option(headers: Sequence[Dataset], eligibility: Eligibility) -> SeriesOption:
    """What matters for the choice, from the headers of one series (at least one) and what the gate found.

    Of a refused series only the UID, by which it was grouped, is read: the rest may be unreadable.
    """
    header = headers[0]
    series_uid = known_text(header, "SeriesInstanceUID")
    if not eligibility.ok:
        return SeriesOption(series_uid, eligibility)
    return SeriesOption(
        series_uid=series_uid,
        eligibility=eligibility,
        kernels=_known(_kernels, header, "ConvolutionKernel", ()),
        contrast=bool(contrast_given(header)),
        series_number=series_number(header),
    )


def series_number(header: Dataset) -> int | None:
    """Series Number; None where absent, malformed, or beyond an IS (PS3.5 6.2)."""
    number = _known(optional_number, header, "SeriesNumber", None)
    return None if number is None or abs(number) >= 2**31 else int(number)


def _kernels(header: Dataset, keyword: str) -> tuple[str, ...]:
    return tuple(kernel[:_KERNEL_LENGTH] for kernel in texts(header, keyword))


def _known(read: Callable[[Dataset, str], T], header: Dataset, keyword: str, unknown: T) -> T:
    """What only ranks is never worth a refusal: malformed is as good as absent."""
    try:
        return read(header, keyword)
    except Unreadable:
        return unknown


def of_one_patient(options: Sequence[SeriesOption], first_headers: Mapping[str, Dataset]) -> tuple[SeriesOption, ...]:
    """The options; every CT series is refused if those of the study are of different patients: whose is the study?

    first_headers: one header of each series, by Series Instance UID. Series that are no CT are left out of it.
    """
    slices = {uid: header for uid, header in first_headers.items() if header.get("SOPClassUID") in CT_CLASSES}
    across = [
        *(r.detail for c in options for r in c.eligibility.refusals if r.reason is Reason.MIXED_PATIENTS),
        *(refusal.detail for refusal in one_patient(list(slices.values()))),
    ]
    if not across:
        return tuple(options)
    refusal = Refusal(Reason.MIXED_PATIENTS, f"Among the CT series of this study: {across[0]}")
    return tuple(_refused(c, refusal) if c.series_uid in slices else c for c in options)


def _refused(c: SeriesOption, refusal: Refusal) -> SeriesOption:
    """The series with one more reason against it, unless that is known already."""
    known = c.eligibility.refusals
    if any(r.reason is refusal.reason for r in known):
        return c
    return replace(c, eligibility=replace(c.eligibility, refusals=(*known, refusal)))


def choose(options: Sequence[SeriesOption], preference: Preference = no_preference) -> tuple[Ranked, ...]:
    """Rank all options, best first; the first is to be analysed if it was not refused."""
    scored = sorted(((_score(c, preference), c) for c in options), key=lambda pair: pair[0])
    return tuple(Ranked(rank, c, score, _reasons(score, c)) for rank, (score, c) in enumerate(scored, start=1))


def is_passed_over(refused: SeriesOption, chosen: SeriesOption) -> bool:
    """Whether a refused series would have been preferred, as far as known: by its thickness, then its coverage.

    Series of another kind than a volume of the chest never would.
    """
    if _OTHER_KINDS & {r.reason for r in refused.eligibility.refusals}:
        return False
    one, other = (
        (_off_best_mm(c.eligibility.thickness_mm), -round(c.eligibility.extent_mm or 0.0, 1)) for c in (refused, chosen)
    )
    return one < other


def _score(c: SeriesOption, preference: Preference) -> Score:
    return (
        not c.eligibility.ok,
        preference(c.kernels, c.eligibility.thickness_mm),
        _off_best_mm(c.eligibility.thickness_mm),
        c.contrast,
        -round(c.eligibility.extent_mm or 0.0, 1),
        float("inf") if c.series_number is None else float(c.series_number),
        c.series_uid,
    )


def _off_best_mm(thickness_mm: float | None) -> float:
    """Distance to the best range; rounded, so that noise in positions decides nothing."""
    if thickness_mm is None:
        return float("inf")
    low, high = BEST_THICKNESS_MM
    return round(max(low - thickness_mm, thickness_mm - high, 0.0), 2)


def _reasons(score: Score, c: SeriesOption) -> tuple[str, ...]:
    refused, preferred, off_best_mm, contrast, extent_mm, _, _ = score
    thickness_mm = c.eligibility.thickness_mm
    return (
        "refused: " + ", ".join(dict.fromkeys(r.reason for r in c.eligibility.refusals)) if refused else "eligible",
        "thickness unknown" if thickness_mm is None else f"{thickness_mm:.2f} mm thick, {off_best_mm:.2f} mm off best",
        f"kernel {'/'.join(c.kernels) or 'unknown'}{', not a preferred one' if preferred else ''}",
        "contrast" if contrast else "no contrast",
        f"covers {-extent_mm:.0f} mm",
        f"series number {c.series_number}",
    )
