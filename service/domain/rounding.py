"""How far numbers are rounded. One rule for the structured reports, the printed report and result.json.

Whoever compares two of them finds the same number. Scores and thresholds use the unrounded values.
"""

from collections.abc import Callable
from math import floor

from pydicom.sr.coding import Code

from service.domain import codes

_SMALLEST = 0.001
"""What is above zero never reads as zero."""


def millilitres(value_ml: float) -> float:
    """One decimal; three below 0.1 mL."""
    return _visible(value_ml, round(value_ml, 1 if abs(value_ml) >= 0.1 else 3))


def percent(value: float) -> float:
    """One decimal, three below 0.1 %; truncated: 4.99 % (score 1) must not read as 5.0 % (score 2)."""
    if value < 0:
        return -percent(-value)
    step = 10 if value >= 0.1 else 1000
    return _visible(value, floor(value * step + 1e-6) / step)


def hounsfield(value_hu: float) -> int:
    """Whole Hounsfield units."""
    return round(value_hu)


def millimetres(value_mm: float) -> float:
    """One decimal: finer than any voxel."""
    return _visible(value_mm, round(value_mm, 1))


def grams_per_litre(value_g_per_l: float) -> int:
    """Whole grams per litre, as fine as whole Hounsfield units."""
    return round(value_g_per_l)


def ratio(value: float) -> float:
    """Two decimals, for probabilities and Dice."""
    return round(float(value), 2)


def decimals(rounded: float) -> str:
    """A rounded volume or percentage as text: "0", "0.04" or "12.0"."""
    if not rounded:
        return "0"
    if rounded < 0:
        return f"-{decimals(-rounded)}"
    return f"{rounded:.1f}" if rounded >= 0.1 else f"{rounded:.3f}".rstrip("0")


def millilitres_text(value_ml: float) -> str:
    """A volume as printed."""
    return decimals(millilitres(value_ml))


def percent_text(value: float) -> str:
    """A percentage as printed."""
    return decimals(percent(value))


def rounded(value: float, unit: Code) -> float:
    """A number as numbers of its unit are written everywhere; six digits of a unit without a rule of its own."""
    return _RULES.get(unit, _six_digits)(value)


def rounding_error(value: float, unit: Code) -> float:
    """By how much a rounded volume or length may differ from the unrounded one: half its last digit. 0 for other units,
    whose growth nobody judges."""
    if unit == codes.MILLILITRE:
        return 0.05 if abs(value) >= 0.1 else 0.0005
    return 0.05 if unit == codes.MILLIMETRE else 0.0


def _six_digits(value: float) -> float:
    return float(f"{value:.6g}")


def _score(value: float) -> float:
    """Whole scores as integers."""
    return int(value) if float(value).is_integer() else ratio(value)


_RULES: dict[Code, Callable[[float], float]] = {
    codes.MILLILITRE: millilitres,
    codes.MILLIMETRE: millimetres,
    codes.PERCENT: percent,
    codes.HOUNSFIELD: hounsfield,
    codes.GRAM_PER_LITRE: grams_per_litre,
    codes.UNITY: ratio,
    codes.SCORE: _score,
}


def _visible(value: float, rounded: float) -> float:
    if value < 0:
        return -_visible(-value, -rounded)
    return max(float(rounded), _SMALLEST) if value > 0 else 0.0
