"""The rank of a CT on the worklist: how early it is to be read, 0 to 1 (paper B)."""

HALF_AT_PERCENT = 5.0
"""Lesion burden that ranks 0.5: 5 % of the lungs, where paper A's score grows most."""

WITHHELD = 0.5
"""The rank of a CT with lesions whose burden is not told: a number would tell it. It is read with those that rank high,
after all others of them."""


def rank(infection: float | None, lesion_percent: float) -> float:
    """The rank by lesion burden, or the infection probability where that is higher: a classifier can only raise it.

    The first is a monotone function of the burden, and no probability; so the greater of both is none either.
    infection: 0 to 1; None without a classifier. lesion_percent: of the lungs. No lesion: 0, the last to be read.
    """
    by_burden = lesion_percent / (lesion_percent + HALF_AT_PERCENT)
    return by_burden if infection is None else max(by_burden, infection)
