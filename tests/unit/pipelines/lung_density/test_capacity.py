"""Predicted total lung capacity: by the published equations, for whom they were made, and for nobody else."""

from typing import Any

import pytest
from pydicom import Dataset

from service.domain.flags import LUNG_ADDED, LUNG_AT_EDGE, LUNG_DROPPED, Flag
from service.pipelines.lung_density.capacity import adjusted, capacity


def header(**attributes: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in ({"PatientSex": "M", "PatientSize": "1.80", "PatientAge": "060Y"} | attributes).items():
        if value is not None:
            setattr(dataset, keyword, value)
    return dataset


@pytest.mark.parametrize(
    ("attributes", "litres"),
    [({}, 7.302), ({"PatientSex": "F", "PatientSize": "1.65"}, 5.10), ({"PatientAge": "070Y"}, 7.302)],
)
def test_the_published_equations(attributes: dict[str, str], litres: float) -> None:
    found = capacity([header(**attributes)])
    assert found.predicted_ml == pytest.approx(1000.0 * litres) and found.why_not == ""


@pytest.mark.parametrize(
    ("attributes", "why_not"),
    [
        ({"PatientSex": None}, "Sex is not recorded as M or F."),
        ({"PatientSex": "O"}, "Sex is not recorded as M or F."),
        ({"PatientSize": None}, "Height is not recorded."),
        ({"PatientSize": "0"}, "Height is not recorded."),
        ({"PatientSize": "180"}, "Height 180 m: only 1.55 to 1.95 m are predicted."),
        ({"PatientSex": "F", "PatientSize": "1.85"}, "Height 1.85 m: only 1.45 to 1.8 m are predicted."),
        ({"PatientAge": None}, "Age is not recorded."),
        ({"PatientAge": "211M"}, "Age 17 years: only 18 to 70 are predicted."),
        ({"PatientAge": "071Y"}, "Age 71 years: only 18 to 70 are predicted."),
    ],
)
def test_nothing_is_predicted_beyond_what_is_recorded_and_covered(attributes: dict[str, Any], why_not: str) -> None:
    found = capacity([header(**attributes)])
    assert (found.predicted_ml, found.why_not) == (None, why_not)


@pytest.mark.parametrize("flag", [LUNG_AT_EDGE, LUNG_DROPPED])
def test_lungs_that_are_not_whole_are_not_compared_with_a_capacity(flag: Flag) -> None:
    found = capacity([header()], (LUNG_ADDED, flag))
    assert (found.predicted_ml, found.why_not) == (None, "The lungs are incomplete.")
    assert capacity([header()], (LUNG_ADDED,)).predicted_ml is not None


def test_a_malformed_height_is_named() -> None:
    broken = header(PatientSize=None)
    broken.add_new("PatientSize", "DS", ["1.8", "1.7"])
    assert capacity([broken]).why_not == "PatientSize is malformed."


def test_a_sponge_keeps_its_tissue_whatever_volume_it_has() -> None:
    """Blown up by a quarter it is thinner by a fifth; adjusted it is the same."""
    assert adjusted(100.0, 5000.0, 6000.0) == pytest.approx(adjusted(80.0, 6250.0, 6000.0))
    assert adjusted(90.0, 6000.0, 6000.0) == 90.0
