"""Three classes of a chest CT, and how their probabilities become one answer (Topff 2023)."""

from collections.abc import Mapping
from enum import StrEnum

THRESHOLD = 0.45
"""A class is answered above it."""


class Infection(StrEnum):
    """The classes, in the order of the classifier's outputs; the value is what reports print."""

    COVID_19 = "COVID-19"
    OTHER = "Other type of pulmonary infection"
    NONE = "No imaging signs of infection"


def decide(probabilities: Mapping[Infection, float]) -> Infection:
    """The answer for three probabilities, 0-1: first no signs, then COVID-19, and other infection is what is left."""
    if probabilities[Infection.NONE] > THRESHOLD:
        return Infection.NONE
    if probabilities[Infection.COVID_19] > THRESHOLD:
        return Infection.COVID_19
    return Infection.OTHER
