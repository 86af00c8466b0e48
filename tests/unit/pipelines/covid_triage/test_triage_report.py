"""How the report puts a region into words."""

import pytest

from service.domain import codes
from service.domain.analysis import Measurement, MeasurementGroup
from service.pipelines.covid_triage import codes as own
from service.pipelines.covid_triage.report import in_words
from service.pipelines.shared.opacity_groups import LUNG


def region(volume_ml: float, lesion_ml: float, percent: float | None) -> MeasurementGroup:
    measured = [
        Measurement("volume_ml", codes.VOLUME, volume_ml, codes.MILLILITRE),
        Measurement("lesion_ml", own.LESION_VOLUME, lesion_ml, codes.MILLILITRE),
    ]
    if percent is not None:
        measured.append(Measurement("lesion_percent", own.LESION_PERCENT, percent, codes.PERCENT))
    return MeasurementGroup("RML", codes.LUNG, LUNG, tuple(measured))


@pytest.mark.parametrize(
    ("group", "words"),
    [
        (region(0.0, 0.0, None), "not found."),
        (region(400.0, 100.0, 25.0), "400.0 mL, of it lesions 100.0 mL (25.0 %)."),
        (region(400.0, 100.0, None), "400.0 mL, of it lesions 100.0 mL."),
    ],
)
def test_a_region_that_was_not_found_and_a_percentage_that_is_withheld(group: MeasurementGroup, words: str) -> None:
    assert in_words("Right middle lobe", group) == f"Right middle lobe: {words}"
