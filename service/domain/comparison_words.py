"""A comparison in words: the same for the printed report, the report as text, and the command line."""

from collections.abc import Iterator

from pydicom.sr.coding import Code

from service.domain import codes
from service.domain.comparison import Change, Comparison, FindingChange, Match
from service.domain.rounding import decimals, rounded

_DECIMALS = (codes.MILLILITRE, codes.PERCENT, codes.MILLIMETRE)


def told(value: float | None, unit: Code) -> str:
    """A number with its unit: "12.0 mL", "not told"."""
    return "not told" if value is None else f"{number(value, unit)}{unit_words(unit)}"


def signed(value: float, unit: Code) -> str:
    """A change: "+1.5", "-3", "0"."""
    return f"+{number(value, unit)}" if value > 0 else number(value, unit)


def number(value: float, unit: Code) -> str:
    """As reports print numbers of the unit, without it."""
    value = rounded(value, unit)
    return decimals(value) if unit in _DECIMALS else f"{value:g}"


def unit_words(unit: Code) -> str:
    """With a space before it; "" for counts and scores."""
    if unit in (codes.UNITY, codes.SCORE):
        return ""
    return " %" if unit == codes.PERCENT else f" {_SHORT.get(unit, unit.value)}"


_SHORT = {codes.HOUNSFIELD: "HU"}


def change_words(one: Change, with_year: bool = True) -> str:
    """The change alone: "+1.5 mL (+12.0 %), +1.5 mL per year", or why none is told. with_year: also per year."""
    if one.change is None:
        return one.why_not
    parts = f"{signed(one.change, one.unit)}{_points(one.unit)}"
    if one.percent is not None:
        parts += f" ({signed(one.percent, codes.PERCENT)} %)"
    return f"{parts}, {per_year_words(one)} per year" if with_year and one.per_year is not None else parts


def per_year_words(one: Change) -> str:
    """The change per year, without these words; "" where it is not told."""
    return "" if one.per_year is None else f"{signed(one.per_year, one.unit)}{_points(one.unit)}"


def _points(unit: Code) -> str:
    """The unit of a change: of a percentage points, which "+2 %" would not say."""
    return " points" if unit == codes.PERCENT else unit_words(unit)


def change_sentence(one: Change) -> str:
    """ "Volume: 3.8 mL then, 8.0 mL now; +4.2 mL (+110.5 %)."."""
    return f"{one.title}: {told(one.then, one.unit)} then, {told(one.now, one.unit)} now; {change_words(one)}."


def finding_words(one: FindingChange) -> str:
    """What became of it, without its numbers."""
    parts = [one.match.words] if one.match is not Match.MATCHED else []
    if one.match is Match.MATCHED and one.then != one.now:
        parts.append(f"{one.then} of the earlier result")
    return "; ".join((*parts, *filter(None, (one.growth_words,))))


def sentences(found: Comparison) -> Iterator[str]:
    """The whole comparison, the main things first."""
    yield f"{found.title}." + (f" Earlier result: {found.headline}." if found.headline else "")
    for one in found.numbers:
        yield change_sentence(one)
    for finding in found.findings:
        words = finding_words(finding)
        yield f"{finding.title}: {words}." if words else f"{finding.title}: {Match.MATCHED.words}."
        for one in finding.numbers:
            yield f"{finding.title}, {change_sentence(one)}"
    yield from found.remarks
