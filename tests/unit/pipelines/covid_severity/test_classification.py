"""The order in which the published thresholds are asked decides."""

import pytest

from service.pipelines.covid_severity.classification import THRESHOLD, Infection, decide


@pytest.mark.parametrize(
    ("covid", "other", "none", "answer"),
    [
        (0.78, 0.17, 0.05, Infection.COVID_19),
        (0.50, 0.04, 0.46, Infection.NONE),
        (0.44, 0.26, 0.30, Infection.OTHER),
        (0.20, 0.70, 0.10, Infection.OTHER),
        (THRESHOLD, 0.10, THRESHOLD, Infection.OTHER),
    ],
)
def test_no_signs_comes_first_then_covid_then_other(covid: float, other: float, none: float, answer: Infection) -> None:
    assert decide({Infection.COVID_19: covid, Infection.OTHER: other, Infection.NONE: none}) is answer
