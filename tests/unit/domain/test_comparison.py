"""Changes, growth and their words."""

import math

import pytest

from service.domain import codes
from service.domain.comparison import Change, FindingChange, Match
from service.domain.comparison_words import change_sentence, change_words, finding_words


def change(then: float | None, now: float | None, days: int = 365, **options: object) -> Change:
    return Change("G", "volume_ml", "Volume", codes.MILLILITRE, then, now, days, codes.VOLUME, **options)  # type: ignore[arg-type]


def finding(then: float, now: float, days: int = 365) -> FindingChange:
    return FindingChange("Nodule 1", Match.MATCHED, "NODULE_1", "NODULE_2", (change(then, now, days),))


def test_a_change_is_the_difference_of_the_numbers_as_they_were_told() -> None:
    one = change(3.8, 8.0)
    assert (one.change, one.percent, one.per_year) == (4.2, 110.5, 4.2)
    assert change_sentence(one) == "Volume: 3.8 mL then, 8.0 mL now; +4.2 mL (+110.5 %), +4.2 mL per year."


def test_a_loss_has_a_sign() -> None:
    assert change_words(change(8.0, 6.0, 730)) == "-2.0 mL (-25.0 %), -1.0 mL per year"


@pytest.mark.parametrize(("days", "per_year"), [(89, None), (90, 40.6)])
def test_a_change_per_year_is_told_from_90_days_on(days: int, per_year: float | None) -> None:
    assert change(0.0, 10.0, days).per_year == per_year


@pytest.mark.parametrize("options", [{"then": None}, {"now": None}, {"why_not": "not comparable"}])
def test_no_change_is_told_without_both_numbers_or_against_a_rule(options: dict[str, object]) -> None:
    one = change(**{"then": 1.0, "now": 2.0} | options)  # type: ignore[arg-type]
    assert (one.change, one.percent, one.per_year) == (None, None, None)


def test_nothing_is_a_percentage_of_nothing() -> None:
    assert change(0.0, 2.0).percent is None and change(0.0, 2.0).change == 2.0


def test_a_percentage_changes_in_points() -> None:
    one = Change("G", "part", "Opacity", codes.PERCENT, 7.9, 9.1, 365)
    assert one.percent is None and change_words(one) == "+1.2 points, +1.2 points per year"


def test_doubling_in_a_year_takes_a_year() -> None:
    assert finding(10.0, 20.0).doubling_days == 365
    assert finding(10.0, 15.0).doubling_days == round(365 * math.log(2) / math.log(1.5))


@pytest.mark.parametrize(
    ("then", "now", "grown"),
    [
        (100.0, 125.0, False),  # within what rounding may add
        (100.0, 125.2, True),
        (100.0, 124.0, False),
        (0.4, 0.5, None),  # 25 % as told, anything as measured: too small to tell
        (0.4, 0.7, True),
        (0.08, 0.101, False),
    ],
)
def test_growth_is_more_than_measuring_and_rounding_may_add(then: float, now: float, grown: bool | None) -> None:
    found = finding(then, now)
    assert found.has_grown is grown and (found.doubling_days is not None) is (grown is True)


def test_growth_from_nothing_and_of_a_withheld_volume_is_not_known() -> None:
    assert finding(0.0, 5.0).has_grown is None
    withheld = FindingChange("N", Match.MATCHED, "A", "B", (change(1.0, 9.0, why_not="not comparable"),))
    assert withheld.has_grown is None and withheld.doubling_days is None and withheld.growth_words == ""


def test_words_of_findings() -> None:
    assert finding_words(finding(10.0, 20.0)) == "NODULE_2 of the earlier result; volume doubling time 365 days"
    assert "within measurement error" in finding_words(finding(10.0, 11.0))
    assert finding(20.0, 10.0).growth_words == "volume smaller"
    assert finding_words(FindingChange("N", Match.NEW, "A", None)) == "not found in the earlier CT"
    assert finding_words(FindingChange("N", Match.GONE, None, "A")) == "no longer found"


@pytest.mark.parametrize(("then", "now"), [(0.1, 0.1), (0.1, 0.2), (0.2, 0.3), (0.4, 0.3)])
def test_a_volume_whose_rounding_alone_spans_the_limit_is_too_small_to_tell(then: float, now: float) -> None:
    found = finding(then, now)
    assert (found.has_grown, found.has_shrunk) == (None, None)
    assert found.growth_words == "volume too small to tell growth"


def test_a_small_volume_that_grew_by_more_than_rounding_has_grown() -> None:
    assert finding(0.1, 0.4).has_grown is True and finding(0.4, 0.1).has_shrunk is True
    assert finding(100.0, 125.0).growth_words == "volume change within measurement error (25 %)"


@pytest.mark.parametrize(("days", "told"), [(1, None), (89, None), (90, 90)])
def test_a_doubling_time_is_told_from_90_days_on_and_the_rule_is_said(days: int, told: int | None) -> None:
    found = finding(10.0, 20.0, days)
    assert found.doubling_days == told and found.has_grown is True
    assert ("from 90 days on" in found.growth_words) is (told is None)
