"""CT severity score: the golden example of paper A and every edge of the table."""

import pytest

from service.domain.severity import category, lobe_score, severity

GOLDEN_ML = {"LUL": (1336, 83), "LLL": (1609, 169), "RUL": (989, 101), "RML": (787, 37), "RLL": (1633, 115)}


def test_golden_report_of_paper_a() -> None:
    """RML is 4.70 %: rounded first, it would score 2 and the total would be 10."""
    result = severity({lobe: 100 * opacity / lung for lobe, (lung, opacity) in GOLDEN_ML.items()})
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
    result = severity({"RUL": 10.0, "RML": None, "RLL": 0.0, "LUL": 0.0, "LLL": 0.0})
    assert result.lobe_scores["RML"] is None
    assert result.lobe_scores["RUL"] == 2
    assert (result.total, result.category) == (None, None)
