"""The comparison of the split by attenuation with labels: it uses the service's rule, and counts as it says."""

from typing import Any

import highdicom as hd
import numpy as np
import pytest

from models.lung_opacity.attenuation import agreement, compare, high_opacity
from models.lung_opacity.data import Source
from service.pipelines.shared.measure import HIGH_OPACITY_HU, split_by_attenuation
from service.pipelines.shared.opacities import Opacity


def source(ground_glass_hu: float, dense_hu: float, ground_glass_label: int = 2) -> Source:
    """Lung with two slabs of opacity of one size, far enough apart not to be averaged together."""
    hu, labels = np.full((40, 40, 3), -850.0, np.float32), np.ones((40, 40, 3), np.uint8)
    hu[5:15], labels[5:15] = ground_glass_hu, ground_glass_label
    hu[25:35], labels[25:35] = dense_hu, 3
    return Source("medseg9/vol1", hd.Volume(hu, np.diag([1.4, 1.4, 6.0, 1.0]), "PATIENT"), labels)


def test_labels_that_follow_attenuation_are_found_again_between_the_two_kinds() -> None:
    found = compare(source(ground_glass_hu=-600.0, dense_hu=-120.0))
    assert found["opacity_voxels"] == 2 * 10 * 40 * 3 and found["consolidation_percent"] == 50.0
    assert found["median_hu"] == {"ground_glass": -600, "consolidation": -120}
    assert found["auc"] == 1.0 and found["consistent"]
    assert found["limits"]["-200"] == {"high_percent": 50.0, "dice": 1.0, "kappa": 1.0}
    assert found["limits"]["-100"] == {"high_percent": 0.0, "dice": 0.0, "kappa": 0.0}


@pytest.mark.parametrize(
    ("changes", "auc"),
    [({"ground_glass_hu": -600.0, "dense_hu": -600.0}, 0.5), ({"ground_glass_label": 3}, None)],
    ids=["no denser", "one kind only"],
)
def test_labels_that_attenuation_cannot_tell_are_not_consistent(changes: dict[str, Any], auc: float | None) -> None:
    found = compare(source(**{"ground_glass_hu": -600.0, "dense_hu": -120.0} | changes))
    assert found["auc"] == auc and not found["consistent"]


def test_another_limit_is_the_same_rule_moved() -> None:
    hu = np.random.default_rng(0).normal(-300.0, 200.0, (2, 30, 30)).astype(np.float32)
    opacity = np.random.default_rng(1).random(hu.shape) < 0.7
    ours = split_by_attenuation(hu, opacity, (1.4, 1.4)) == Opacity.HIGH_OPACITY
    assert np.array_equal(high_opacity(hu, opacity, (1.4, 1.4), HIGH_OPACITY_HU), ours)
    lower = high_opacity(hu, opacity, (1.4, 1.4), HIGH_OPACITY_HU - 100)
    assert lower[ours].all() and lower.sum() > ours.sum() and not lower[~opacity].any()


def test_kappa_takes_chance_away() -> None:
    dense = np.array([True, True, False, False])
    assert agreement(np.array([True, False, True, False]), dense) == {"dice": 0.5, "kappa": 0.0}
    assert agreement(dense, dense) == {"dice": 1.0, "kappa": 1.0}
    everything = np.ones(4, np.bool_)
    assert agreement(everything, everything)["kappa"] == 0.0, "nothing to tell apart"
