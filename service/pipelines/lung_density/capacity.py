"""Predicted total lung capacity, to which Perc15 is adjusted: how far the patient breathed in changes the density.

The adjustment takes the lungs for a sponge: whatever volume they are blown up to, their tissue stays. Density x volume
is then constant, and PD15 x measured volume / predicted capacity is what the same lungs would have, blown up to the
capacity of a healthy person of that height and sex (Shaker 2004, Dirksen 2009). Of both lungs; a lobe has no predicted
volume of its own, and is taken to be blown up as both lungs are.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import floor

from pydicom import Dataset

from service.domain.flags import LUNG_AT_EDGE, LUNG_DROPPED, Flag
from service.imaging.attributes import Unreadable, known_text, optional_number
from service.imaging.gate.patient import youngest_age

_LITRES: dict[str, tuple[float, float]] = {"M": (7.99, -7.08), "F": (6.60, -5.79)}
"""Litres for each metre of height, and at none: European Community for Steel and Coal (Quanjer 1993, table 6)."""

_HEIGHTS_M: dict[str, tuple[float, float]] = {"M": (1.55, 1.95), "F": (1.45, 1.80)}
_AGES = (18.0, 71.0)
"""Of whom the equations were made: heights both included, and 18 to 70 years old. Beyond them nothing is predicted."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """Predicted total lung capacity in mL; None where it is not predicted, and `why_not` says why in a sentence."""

    predicted_ml: float | None
    why_not: str = ""


def capacity(headers: Sequence[Dataset], flags: Collection[Flag] = ()) -> Capacity:
    """From Patient's Sex, Size (in metres) and age of a CT's headers (PS3.3 C.7.1.1, C.7.2.2); nothing is guessed.

    flags: of the lungs. Nothing is predicted for lungs that are not whole: a part of them has no capacity of its own.
    """
    if any(flag in flags for flag in (LUNG_AT_EDGE, LUNG_DROPPED)):
        return Capacity(None, "The lungs are incomplete.")
    sex = known_text(headers[0], "PatientSex").strip().upper()
    if sex not in _LITRES:
        return Capacity(None, "Sex is not recorded as M or F.")
    try:
        height_m, age = optional_number(headers[0], "PatientSize"), youngest_age(headers[:1])
    except Unreadable as error:
        return Capacity(None, f"{error}.")
    least, most = _HEIGHTS_M[sex]
    if not height_m:
        return Capacity(None, "Height is not recorded.")
    if not least <= height_m <= most:
        return Capacity(None, f"Height {height_m:g} m: only {least:g} to {most:g} m are predicted.")
    if age is None:
        return Capacity(None, "Age is not recorded.")
    if not _AGES[0] <= age < _AGES[1]:
        return Capacity(None, f"Age {floor(age)} years: only 18 to 70 are predicted.")
    for_each_m, at_none = _LITRES[sex]
    return Capacity(1000.0 * (for_each_m * height_m + at_none))


def adjusted(density_g_per_l: float, lungs_ml: float, predicted_ml: float) -> float:
    """A density as it would be with both lungs blown up to the predicted capacity, in g/L."""
    return density_g_per_l * lungs_ml / predicted_ml
