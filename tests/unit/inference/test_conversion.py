"""The gate lets rounding through and nothing else."""

import numpy as np
import pytest

from service.errors import Permanent
from service.inference.conversion import check_conversion


def probabilities() -> np.ndarray:
    logits = np.random.default_rng(0).normal(0, 2, (2, 3, 64, 64))
    return (np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)


def test_rounding_passes_and_is_reported() -> None:
    original = probabilities()
    found = check_conversion(original, original + np.float32(2e-6))
    assert 1e-6 < found.difference < 3e-6
    assert found.flipped == 0.0
    assert str(found) == "largest difference of a probability 2.0e-06, labels that differ 0.0000%"


def test_a_difference_is_refused() -> None:
    original = probabilities()
    other = original.copy()
    other[0, 0, 0, 0] += 2e-4
    with pytest.raises(Permanent, match="does not repeat the original"):
        check_conversion(original, other)


def test_flipped_labels_are_refused_however_small_the_difference() -> None:
    tie = np.full((1, 2, 100, 100), 0.5, np.float32)
    other = tie.copy()
    other[0, 1, 0, :2] += 1e-6  # 2 of 10,000 labels
    with pytest.raises(Permanent, match=r"0\.0200%"):
        check_conversion(tie, other)


def test_where_classes_overlap_each_is_judged_by_its_own_threshold() -> None:
    original = np.full((1, 2, 100, 100), 0.5, np.float32)
    other = original.copy()
    other[0, 1, 0, :2] -= 1e-6  # below its threshold; the most probable class stays the first
    assert check_conversion(original, other).flipped == 0.0
    assert check_conversion(original, other, [0.5, 0.4]).flipped == 0.0
    assert check_conversion(original, other, [0.5, 0.5]).flipped == 1e-4, "2 of 20,000 labels"
    other[0, 0, 0, 0] -= 1e-6
    with pytest.raises(Permanent, match=r"0\.0150%"):
        check_conversion(original, other, [0.5, 0.5])


def test_not_a_number_is_refused() -> None:
    original = probabilities()
    with pytest.raises(Permanent):
        check_conversion(original, np.full_like(original, np.nan))
