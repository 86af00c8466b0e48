"""CT severity score: the golden example of paper A and every edge of the table."""

import pytest

from service.pipelines.covid_severity.score import NoiseFloor, Severity, category, lobe_score, severity
from service.pipelines.shared.measure import Region

GOLDEN_ML = {"LUL": (1336, 83), "LLL": (1609, 169), "RUL": (989, 101), "RML": (787, 37), "RLL": (1633, 115)}

FLOOR = NoiseFloor(opacity_ml=5.0, opacity_percent=0.7)


def region(lung_ml: float, opacity_ml: float) -> Region:
    return Region(lung_ml, opacity_ml, 0.0, None)


def of(*lobes: tuple[float, float] | None, floor: NoiseFloor | None = FLOOR) -> Severity:
    """Five lobes, each of lung mL and opacity mL; None for a missing one."""
    names = ("RUL", "RML", "RLL", "LUL", "LLL")
    return severity({n: None if lobe is None else region(*lobe) for n, lobe in zip(names, lobes, strict=True)}, floor)


def test_golden_report_of_paper_a() -> None:
    """RML is 4.70 %: rounded first, it would score 2 and the total would be 10."""
    result = severity({lobe: region(lung, opacity) for lobe, (lung, opacity) in GOLDEN_ML.items()}, FLOOR)
    assert result.lobe_scores == {"LUL": 2, "LLL": 2, "RUL": 2, "RML": 1, "RLL": 2}
    assert (result.total, result.category) == (9, "moderate")


@pytest.mark.parametrize(
    ("percent", "score"),
    [(0, 0), (1e-9, 1), (4.999, 1), (5, 2), (25, 2), (25.001, 3), (50, 3), (50.001, 4), (75, 4), (75.001, 5), (100, 5)],
)
def test_gaps_of_the_published_table_are_closed_on_unrounded_percentages(percent: float, score: int) -> None:
    assert lobe_score(percent) == score


@pytest.mark.parametrize("percent", [-0.1, 100.1, float("nan")])
def test_a_percentage_outside_0_to_100_is_an_error(percent: float) -> None:
    with pytest.raises(ValueError, match="outside 0-100"):
        lobe_score(percent)


@pytest.mark.parametrize(
    ("total", "name"),
    [(0, "none"), (1, "mild"), (5, "mild"), (6, "moderate"), (14, "moderate"), (15, "severe"), (25, "severe")],
)
def test_category_edges(total: int, name: str) -> None:
    assert category(total) == name


@pytest.mark.parametrize("total", [-1, 26])
def test_a_total_outside_0_to_25_is_an_error(total: int) -> None:
    with pytest.raises(ValueError, match="outside 0-25"):
        category(total)


def test_a_missing_lobe_is_not_scored_and_leaves_no_total() -> None:
    result = of((1000, 100), None, (1000, 0), (1000, 0), (1000, 0))
    assert result.lobe_scores["RML"] is None
    assert result.lobe_scores["RUL"] == 2
    assert (result.total, result.category, result.involvement) == (None, None, None)
    assert result.without_floor.total is None and not result.within_normal


@pytest.mark.parametrize(
    ("lung_ml", "opacity_ml", "score"),
    [
        (1000, 0, 0),
        (500, 5.0, 0),  # 1 %, but no more than 5 mL
        (500, 5.001, 1),
        (2000, 14.0, 0),  # more than 5 mL, but no more than 0.7 %
        (2000, 14.001, 1),
        (80, 3.999, 0),  # just below 5 % of a small lobe
        (80, 4.0, 2),  # 5 % is never noise
    ],
)
def test_a_lobe_is_scored_only_if_its_opacity_exceeds_both_limits(
    lung_ml: float, opacity_ml: float, score: int
) -> None:
    result = of((lung_ml, opacity_ml), *[(1000.0, 0.0)] * 4)
    assert result.lobe_scores["RUL"] == result.total == score
    assert result.without_floor.lobe_scores["RUL"] == lobe_score(100 * opacity_ml / lung_ml)


def test_opacity_within_the_noise_floor_is_said_to_be_normal_and_is_not_hidden() -> None:
    result = of((762, 0), (284, 2.55), (854, 0), (863, 0.11), (769, 0))
    assert (result.total, result.category) == (0, "none") and result.within_normal
    assert result.involvement == "none: within what is found in normal lungs"
    assert (result.without_floor.total, result.without_floor.category) == (2, "mild")


def test_no_opacity_is_none_without_more_words() -> None:
    assert of(*[(1000, 0)] * 5).involvement == "none"


def test_noise_no_longer_makes_mild_disease_moderate() -> None:
    result = of((1049, 0.75), (621, 1.39), (1478, 81.93), (1336, 4.19), (1731, 24.1))
    assert (result.total, result.category) == (3, "mild")
    assert (result.without_floor.total, result.without_floor.category) == (6, "moderate")


def test_a_model_without_a_measured_floor_is_scored_by_the_published_rule() -> None:
    result = of((1000, 0.1), *[(1000, 0)] * 4, floor=None)
    assert result.total == result.without_floor.total == 1
    assert result.floor is None and not result.within_normal and result.involvement == "mild"


@pytest.mark.parametrize("limits", [(0.0, 0.7), (5.0, 0.0), (5.0, 5.0), (float("inf"), 0.7), (float("nan"), 0.7)])
def test_limits_that_are_no_noise_floor_are_an_error(limits: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="noise floor"):
        NoiseFloor(*limits)
