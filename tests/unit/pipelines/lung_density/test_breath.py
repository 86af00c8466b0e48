"""Whether the patient breathed in."""

import pytest
from pydicom import Dataset

from service.pipelines.lung_density import flags as warnings
from service.pipelines.lung_density.breath import breath
from service.pipelines.lung_density.limits import apart


def called(description: str) -> Dataset:
    header = Dataset()
    header.SeriesDescription = description
    return header


@pytest.mark.parametrize(
    "description",
    ["Thorax EXP", "thorax_exp_1.0", "Expiration 1mm", "Lunge in Exspiration", "Expiratory", "Torace espirazione"],
)
def test_a_series_of_an_expiration_is_one(description: str) -> None:
    (flag,) = breath(called(description), None)
    assert flag == warnings.NOT_INSPIRED and description in flag.detail


@pytest.mark.parametrize(
    "description", ["Thorax INSP", "Insp/Exp", "Lung exposure", "EXPERT chest", "", "Thorax 1.0 Br40"]
)
def test_other_names_tell_nothing(description: str) -> None:
    assert list(breath(called(description), None)) == []


def test_lungs_of_less_than_seven_tenths_of_the_capacity_are_not_filled() -> None:
    assert list(breath(called(""), 0.7)) == []
    (flag,) = breath(called("EXP"), 0.6996)
    assert flag.detail == "0.6996 of the predicted capacity, below 0.7."


def test_a_value_never_reads_as_the_limit_that_it_passed() -> None:
    assert apart(2.97, 3.0, 1) == "2.97" and apart(2.5, 3.0, 1) == "2.5"
    assert apart(30.2, 30.0, 0) == "30.2" and apart(30.0004, 30.0, 0) == "30.0004"
    assert float(apart(3.0 + 2**-51, 3.0, 1)) > 3.0
