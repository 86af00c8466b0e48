"""Numbers as results say them: never a zero for what is there, never rounded into the next category."""

import pytest

from service.domain import codes
from service.domain.rounding import decimals, millilitres, percent, rounded


@pytest.mark.parametrize(
    ("value", "rounded", "text"),
    [(0.0, 0.0, "0"), (0.0001, 0.001, "0.001"), (0.04, 0.04, "0.04"), (0.1, 0.1, "0.1"), (12.04, 12.0, "12.0")],
)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_volume_is_shown_with_its_sign(value: float, rounded: float, text: str, sign: int) -> None:
    """A change of volume may be a loss."""
    assert millilitres(sign * value) == sign * rounded
    assert decimals(millilitres(sign * value)) == ("-" if sign < 0 and value else "") + text


@pytest.mark.parametrize(("value", "rounded"), [(4.99, 4.9), (0.0004, 0.001), (0.0449, 0.044), (100.0, 100.0)])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_percentage_is_cut_towards_zero(value: float, rounded: float, sign: int) -> None:
    """4.99 % (score 1) must not read as 5.0 % (score 2)."""
    assert percent(sign * value) == sign * rounded


def test_a_density_is_as_fine_as_the_hounsfield_units_that_it_comes_from() -> None:
    assert (rounded(87.6, codes.GRAM_PER_LITRE), rounded(-912.4, codes.HOUNSFIELD)) == (88, -912)
