"""The rank of a CT on the worklist: how early it is to be read, 0 to 1 (paper B)."""

HALF_AT_PERCENT = 5.0
"""Lesion burden that ranks 0.5 where no classifier is installed: 5 % of the lungs, where paper A's score grows most."""


def rank(infection: float | None, lesion_percent: float) -> float:
    """The infection probability; without a classifier a monotone function of lesion burden, which is no probability.

    infection: 0 to 1; None without a classifier. lesion_percent: of the lungs. No lesion: 0, the last to be read.
    """
    return lesion_percent / (lesion_percent + HALF_AT_PERCENT) if infection is None else infection
