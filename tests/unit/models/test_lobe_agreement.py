"""The numbers on the lobes' card mean what they say, and drawn fissures are told apart."""

import highdicom as hd
import numpy as np
import pytest

from models.lobes.agreement import dice, distances_mm, same_lobe_part, with_slice_labels
from models.lobes.summary import summarise
from models.lobes.truth import FISSURES, LUNG_HU, TISSUE_HU, borders, by_fissure, lungs_of, paint
from service.domain.anatomy import Lobe
from service.imaging.lungs import Side

AFFINE = np.array([[0, 0, 2.0, -110.0], [0, 2.0, 0, -70.0], [-2.5, 0, 0, 110.0], [0, 0, 0, 1]])
SHAPE = (90, 70, 110)


def lobes() -> hd.Volume:
    """Boxes of lung: the left oblique fissure at z = 0, the right one at z = y, the horizontal one at z = 20."""
    z = 110.0 - 2.5 * np.arange(90)[:, None, None]
    y = -70.0 + 2.0 * np.arange(70)[None, :, None]
    labels = np.zeros(SHAPE, np.uint8)
    right = np.where(z > np.maximum(y, 20.0), Lobe.RUL, np.where(z > y, Lobe.RML, Lobe.RLL))
    labels[5:85, 5:65, 5:53] = np.broadcast_to(right, SHAPE)[5:85, 5:65, 5:53]
    labels[5:85, 5:65, 57:105] = np.broadcast_to(np.where(z > 0, Lobe.LUL, Lobe.LLL), SHAPE)[5:85, 5:65, 57:105]
    return hd.Volume(labels, AFFINE, "PATIENT")


def test_borders_lie_between_the_lobes() -> None:
    found = borders(lobes())
    assert np.abs(found["left oblique"][:, 2]).max() < 2.5
    assert np.abs(found["right oblique"][:, 2] - found["right oblique"][:, 1]).max() < 2.5
    assert np.abs(found["right horizontal"][:, 2] - 20.0).max() < 2.5
    assert found["right horizontal"][:, 1].max() < 25.0
    assert found["left oblique"][:, 0].min() > 0 > found["right oblique"][:, 0].max()


def test_drawn_points_are_sorted_by_fissure() -> None:
    truth = lobes()
    points = borders(truth)
    sorted_ = by_fissure(np.concatenate(list(points.values())), truth, lungs_of(truth).on_source)
    for name, expected in points.items():
        away = distances_mm(expected, sorted_[name])
        assert away["p95"] <= 4.0, name
        assert distances_mm(sorted_[name], expected)["p95"] <= 4.0, name


def test_painted_cts_have_vessels_in_lungs_in_tissue() -> None:
    truth = lobes()
    vessels = truth.with_array(np.zeros(SHAPE, np.uint8))
    vessels.array[40, 30, 30] = 1
    ct = paint(truth.with_array(truth.array > 0), vessels)
    assert ct.array[40, 30, 30] == ct.array[0, 0, 0] == TISSUE_HU
    assert ct.array[41, 30, 30] == LUNG_HU


def test_lungs_of_lobes() -> None:
    truth = lobes()
    lungs = lungs_of(truth)
    assert np.array_equal(lungs.on_source > 0, truth.array > 0)
    assert (lungs.on_source[truth.array == Lobe.LLL] == Side.LEFT).all()


def test_dice_and_part() -> None:
    truth = np.repeat(np.arange(6, dtype=np.uint8), 10)
    found = truth.copy()
    found[10:15] = Lobe.RML
    scores = dice(found, truth)
    assert scores["RUL"] == pytest.approx(2 * 5 / 15, abs=1e-3)
    assert scores["RML"] == pytest.approx(2 * 10 / 25, abs=1e-3)
    assert scores["LLL"] == 1.0
    assert same_lobe_part(found, truth) == 0.9


def test_distances() -> None:
    drawn = np.array([[0.0, 0, 0], [0, 0, 3], [0, 0, 10]])
    assert distances_mm(drawn, np.zeros((1, 3))) == {"mean": 4.3, "median": 3.0, "p95": 9.3}


def test_slices_are_judged_where_both_sides_speak() -> None:
    labels = np.tile(np.array([Lobe.RUL, Lobe.RLL, Lobe.LLL], np.uint8).repeat(50), (4, 1, 1))
    opacity = np.zeros(labels.shape, np.bool_)
    opacity[0, 0, 50:100] = True  # all of the right lower lobe, as named
    opacity[1, 0, 20:80] = True  # 30 of the upper, 30 of the lower: the upper one alone was named
    opacity[2, 0, 100:150] = True  # nobody named anything
    said = [frozenset({Lobe.RLL}), frozenset({Lobe.RUL}), frozenset(), frozenset({Lobe.LLL})]
    found = with_slice_labels(labels, opacity, said, pixel_mm2=1.0)
    assert found["slices"] == 2
    assert found["lobes"]["RLL"] == {"named": 1, "found": 2, "sensitivity": 1.0, "precision": 0.5}
    assert found["lobes"]["LLL"] == {"named": 0, "found": 0, "sensitivity": None, "precision": None}
    assert found["in_named_lobe"] == round((50 + 30) / (50 + 60), 3)


def test_a_summary_says_of_how_many_patients_each_mean_is_and_how_sure() -> None:
    def case(mm: float, **more: object) -> dict[str, object]:
        return {"fissure_mm": {f: {"mean": mm} for f in FISSURES}, "mean_mm": mm, **more}

    def masked(part: float) -> dict[str, object]:
        return {"dice": {lobe.name: part for lobe in Lobe}, "same_lobe_part": part}

    one_way = [case(2.0, **masked(0.8)), case(4.0, **masked(0.9)), case(6.0, **masked(1.0)), case(3.0), case(5.0)]
    summary = summarise({str(n): {"prior": of, "found": of} for n, of in enumerate(one_way)})
    assert summary["mean"]["found"]["mean_mm"] == 4.0 and summary["mean"]["found"]["worst_mm"] == 6.0
    assert summary["intervals"]["Dice, RML"] == {"patients": 3, "prior": [0.9, 0.8, 1.0], "found": [0.9, 0.8, 1.0]}
    assert summary["intervals"]["distance, LIDC-IDRI only, mm"]["patients"] == 2
    every = summary["intervals"]["distance, mm"]
    mean, low, high = every["found"]
    assert every["patients"] == 5 and mean == 4.0 and 2.0 < low < 3.2 and 4.8 < high < 6.0
