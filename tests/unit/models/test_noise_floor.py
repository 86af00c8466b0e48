"""False opacity is what touches no known lesion, and the floor is told against it."""

from pathlib import Path

import highdicom as hd
import numpy as np
import pytest

from models.opacity_context.noise_floor import away_from, repository_of, scores, summary
from models.opacity_context.series import LIDC_1, P001, RIDER
from service.pipelines.covid_severity.score import NoiseFloor

FLOOR = NoiseFloor(opacity_ml=5.0, opacity_percent=0.7)


def case(*lobes: tuple[float, float, float], pneumonia: bool = False) -> dict[str, object]:
    """lobes: volume, opacity and false opacity, mL."""
    keys = ("volume_ml", "opacity_ml", "false_ml")
    names = ("RUL", "RML", "RLL", "LUL", "LLL")
    values = (dict(zip(keys, lobe, strict=True)) for lobe in lobes)
    return {"pneumonia": pneumonia, "lobes": dict(zip(names, values, strict=True))}


def test_opacity_that_touches_a_lesion_is_not_false() -> None:
    """The origin is at (10, 20, 30) mm; the lesion's opacity reaches far beyond the radius around the point."""
    affine = np.array([[0, 0, 2.0, 10], [0, 2.0, 0, 20], [-5.0, 0, 0, 30], [0, 0, 0, 1]])
    opacity = np.zeros((4, 40, 40), np.bool_)
    opacity[1, 10:14, 2:30] = True
    opacity[3, 30:34, 30:34] = True
    volume = hd.Volume(opacity.astype(np.uint8), affine, hd.CoordinateSystemNames.PATIENT)
    left = away_from(volume, opacity, ((10 + 2.0 * 4, 20 + 2.0 * 12, 30 - 5.0),))
    assert not left[1].any() and left[3].sum() == 16
    assert np.array_equal(away_from(volume, opacity, ()), opacity)


def test_the_floor_is_told_against_false_opacity_only() -> None:
    quiet, lesion = (1000.0, 0.0, 0.0), (1000.0, 50.0, 0.0)
    normal = case((1000.0, 20.0, 20.0), (250.0, 2.0, 2.0), quiet, quiet, lesion)
    ill = case(lesion, lesion, lesion, lesion, lesion, pneumonia=True)
    found = summary({"normal": normal, "ill": ill}, FLOOR)
    assert found["floor"] == {"opacity_ml": 5.0, "opacity_percent": 0.7}
    assert (found["lobes"], found["lobes_above"], found["largest_ml"], found["largest_percent"]) == (5, 1, 20.0, 2.0)
    assert found["percentile_95_ml"] == pytest.approx(2.0 + 0.8 * 18.0)


def test_both_scores_of_a_case() -> None:
    lobes = ((1049, 0.75, 0), (621, 1.39, 0), (1478, 81.93, 0), (1336, 4.19, 0), (1731, 24.1, 0))
    found = scores(case(*lobes, pneumonia=True), FLOOR)
    assert found == {
        "published": {"score": 6, "category": "moderate"},
        "reported": {"score": 3, "category": "mild"},
    }


def test_half_of_the_slices_is_named_so() -> None:
    assert [half.name for half in P001.halves] == ["covid-ct-md/P001, even slices", "covid-ct-md/P001, odd slices"]


def test_what_the_released_network_has_learned_is_measured_by_the_fold_that_has_not() -> None:
    folds, released = Path("folds"), Path("released")
    assert repository_of(P001, folds, released) == released
    assert repository_of(RIDER, folds, released) == folds / "2" / "repository"
    assert {repository_of(half, folds, released) for half in LIDC_1.halves} == {folds / "3" / "repository"}
