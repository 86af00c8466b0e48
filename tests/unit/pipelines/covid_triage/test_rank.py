"""How early a CT is to be read: by its burden, and earlier where the classifier says so."""

import pytest

from service.pipelines.covid_triage.rank import HALF_AT_PERCENT, rank


def test_without_a_classifier_it_grows_with_the_burden_from_0_and_never_reaches_1() -> None:
    ranks = [rank(None, percent) for percent in (0.0, 1.0, HALF_AT_PERCENT, 50.0, 100.0)]
    assert ranks[0] == 0.0 and ranks[2] == 0.5 and ranks == sorted(ranks) and ranks[-1] < 1.0


@pytest.mark.parametrize("infection", [0.0, 0.3, 0.97])
@pytest.mark.parametrize("percent", [0.1, 5.0, 80.0])
def test_the_classifier_can_only_raise_it(infection: float, percent: float) -> None:
    assert rank(infection, percent) == max(infection, rank(None, percent))
